#pragma once
/* gate: so many at a time, over all loops, and a queue in front of it. Exact, and in order: whose turn it is gets the
 * very place that somebody leaves, whichever loop either is on, and nobody comes in past those who wait.
 *
 * A place has no shape: who has one must give it back, by gate_leave, once. A ticket stands for one who waits. */
#include "base/freelist.h"
#include "base/lock.h"
#include "base/rc.h"
#include "net/loop.h"

struct up;
struct up_parcel;

struct gate {                           /* gate_init before use */
    struct lock lock;                   /* of all that follows */
    uint32_t limit;                     /* 0: none; who waits comes in at once */
    uint32_t queue;                     /* how many may wait */
    uint32_t used, waits;
    struct link waiting;                /* struct ticket.in_gate, in order */
    uint64_t waited, refused;           /* ever */
};

struct ticket {
    struct job job;                     /* brings the call to the loop of who waits */
    struct link in_gate;
    struct gate *gate;
    struct loop *loop;
    struct freelist *home;
    struct task *wake;                  /* NULL: who had waited has gone */
    bool is_called;                     /* under the gate's lock */
    bool is_here;                       /* ... and that has come to its loop, which alone knows of it */
    /* What the caller of gate_enter may set, under the lock or before it waits. */
    void (*lost)(struct ticket *t);     /* it was called for nobody: gives the place back; NULL: gate_leave */
    /* For a gate whose places are connections (proxy/supply): of which node; and what came, if anything. */
    const void *wants;
    struct up *up;
    struct up_parcel *parcel;
};

void gate_init(struct gate *g);
/* Other limits from now on, by any thread; here: the loop of the caller, or NULL. Who fits in now is called. */
void gate_set(struct gate *g, uint32_t limit, uint32_t queue, struct loop *here);

/* RC_OK: a place. RC_AGAIN: *out waits, and wake is made ready when it is called. RC_FULL: as many wait as may.
 * home: of struct ticket, the loop's. */
enum rc gate_enter(struct gate *g, struct loop *loop, struct freelist *home, struct task *wake, struct ticket **out);
static inline bool ticket_is_called(const struct ticket *t) { return t->is_here; }
/* The ticket was called: the place is the caller's, and the ticket is gone. */
void ticket_use(struct ticket *t);
/* Whoever waits gives up, called or not. */
void ticket_drop(struct ticket *t);

void gate_leave(struct gate *g, struct loop *here);

/* -- for gates whose places come with something: under the lock -- */

/* As gate_set. */
void gate_set_locked(struct gate *g, uint32_t limit, uint32_t queue, struct loop *here);
/* As gate_enter. more: places that are about to be left; so many more may wait. */
enum rc gate_enter_locked(struct gate *g, uint32_t more, struct loop *loop, struct freelist *home, struct task *wake,
                          struct ticket **out);
/* The place of one who leaves goes to whose turn it is; NULL: to nobody, and it is given back only if is_left. */
struct ticket *gate_pass_locked(struct gate *g, bool is_left);
/* Tells who waits; the ticket is its own from now on. */
void ticket_call(struct ticket *t, struct loop *here);
