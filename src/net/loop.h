#pragma once
/* loop: one event loop over one epoll set. Sockets that carry traffic are edge-triggered and registered once; all else
 * (listeners, inotify, signals, wake-ups) is level-triggered.
 *
 * What may run when: an io's on_event runs inside a batch. Whoever wants an object looked at again calls loop_ready,
 * and the task runs after the batch, before the loop sleeps. Memory of an object that has an io is given back through
 * loop_bury, because the batch may still hold a pointer to it. */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/longest.h"
#include "base/slice.h"
#include "net/deadline.h"

struct loop;

enum { IO_READABLE = 1, IO_WRITABLE = 2, IO_HUP = 4, IO_ERROR = 8 };

/* An edge-triggered socket. ready holds what is believed possible: set by events, cleared by whoever meets EAGAIN. */
struct io {
    int fd;                         /* -1: closed */
    uint8_t ready;                  /* IO_... */
    bool registered;
    bool more;                      /* a stream's: more is written right behind what is written now, which may wait */
    void (*on_event)(struct io *io);
};

struct task {                       /* all zero: not queued */
    struct link in_ready;           /* loop.ready */
    void (*run)(struct task *t);
};

struct grave {
    struct grave *next;
    void (*free)(struct grave *g);
};

/* Work sent to a loop by another thread. The job is the receiver's from loop_post on. */
struct job {
    struct job *next;
    void (*run)(struct loop *loop, struct job *job);
};

/* What somebody has that belongs to a loop. */
struct ending {
    struct ending *next;
    void (*run)(struct loop *loop, struct ending *e);
};

/* A level-triggered watcher. */
struct watch {
    struct loop *loop;              /* set while it is watched */
    int fd;
    void (*on_readable)(struct watch *w);
};

enum {
    /* Room for a head rendered in front of a body. The odd half page puts what is read into the middle of a page: "rep
     * movsb", by which the kernel copies, is four times as slow on AMD's Zen 3 and 4 where the target lies up to 63
     * bytes behind the source within a page, and sockets' own pages are mostly used from their beginning. */
    SCRATCH_BEFORE = 64 * 1024 + 2048,
    SCRATCH_BYTES = 128 * 1024,     /* one read */
    SCRATCH_AFTER = 128,            /* chunk framing, vector over-reads */
};

struct loop {
    struct clock clock;
    struct deadlines deadlines;
    char *scratch;                  /* SCRATCH_BYTES to read into; valid until the callback returns */
    char *render;                   /* RENDER_BYTES to write heads into; valid until the next render */
    void *owner;                    /* of whoever made the loop */
    struct link ready;              /* struct task, in order */
    struct grave *graves;
    struct ending *endings;
    const struct dialer *dialer;    /* net/dial; NULL: sockets */
    struct longest rounds;          /* from waking up until it would sleep again: ticks */
    struct longest chores;          /* a piece of work that was for no request: nanoseconds of CPU time */
    void *private;
};

enum { RENDER_BYTES = 256 * 1024 };

struct loop *loop_new(void *owner);
void loop_free(struct loop *loop);
/* Returns after loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* For specs, which have the clock in their hands: one turn at the time that clock says, without a wait and without
 * sockets. Deadlines that are due, then all that is ready. */
void loop_step(struct loop *loop);

/* False (with errno) when the kernel refuses. Events that are already there are delivered. Nothing to do where it is
 * registered. */
bool loop_add(struct loop *loop, struct io *io);
/* Closes the fd; no event follows. */
void io_close(struct io *io);

/* Lets go of the fd, which stays open for another loop; no event follows. */
void loop_remove(struct loop *loop, struct io *io);

/* Runs it in this turn of the loop. Where tasks make each other ready again and again, the next turns go on with that:
 * sockets and deadlines are looked at in between. */
void loop_ready(struct loop *loop, struct task *t);
/* Frees it when all has run that is ready now. */
void loop_bury(struct loop *loop, struct grave *g, void (*free_fn)(struct grave *g));

/* From any thread. */
void loop_post(struct loop *loop, struct job *job);

/* Notes what a piece of work for no request has cost since clock_cpu_ns() was began_ns. Jobs are noted by the loop. */
void loop_chore_done(struct loop *loop, uint64_t began_ns);

/* run_fn is called by loop_free, once, the newest first: the loop turns no more, jobs that were still posted to it do
 * not run, and whoever frees it may be another thread. In the loop's thread. */
void loop_at_end(struct loop *loop, struct ending *e, void (*run_fn)(struct loop *loop, struct ending *e));

void loop_watch(struct loop *loop, struct watch *w);
void loop_unwatch(struct loop *loop, struct watch *w);

static inline void loop_deadline(struct loop *loop, struct deadline *d, uint64_t due_ms)
{
    deadline_set(&loop->deadlines, d, due_ms);
}
