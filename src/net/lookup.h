#pragma once
/* lookup: what a loop must not wait for (the addresses of a name, certificates in files) is found by a thread of the
 * lookup's own, kept for a while, and shared by all loops; equal questions are asked once. The thread starts with the
 * first question, and ends with the last loop that has asked one. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/rc.h"
#include "net/loop.h"

enum { LOOKUP_KEY_MAX = 16 * 1024 };

/* What was found: the first field of a struct of the lookup's. Counted by reference, and never changed. */
struct finding {
    _Atomic unsigned refs;
    bool failed;                        /* kept for a shorter time */
    void (*free)(struct finding *f);
};

/* Runs in the loop's thread, from the loop. who: the number of something that goes stale safely (base/slots.h), so that
 * there is nothing to be taken back when the asker goes away. */
typedef void lookup_fn(struct loop *loop, double who);

struct lookup {
    const char *name;                   /* of the thread, at most 15 characters */
    struct finding *(*find)(struct slice key);  /* runs in the thread, and may block. Never NULL, refs is 1 */
    uint32_t good_ms, bad_ms;           /* how long a finding, a failed one, is kept */
    uint32_t max;                       /* questions known at a time; the one used longest ago goes first */
    /* private; a static struct that has the above begins with LOOKUP_START */
    pthread_mutex_t lock;
    pthread_cond_t asked;
    pthread_t thread;
    unsigned turn;                      /* changes when the thread shall end */
    struct map questions;               /* key to struct question */
    struct link known;                  /* struct question.in_known, the one used longest ago first */
    struct link queue;                  /* struct question.in_queue */
    struct link askers;                 /* struct asker.in_all */
    uint32_t asker_count;
    struct user *users;                 /* loops that have asked */
};
#define LOOKUP_START .lock = PTHREAD_MUTEX_INITIALIZER, .asked = PTHREAD_COND_INITIALIZER

/* RC_OK: *out is what is known, to be given back by finding_drop. RC_AGAIN: fn(loop, who) is called when it is; ask
 * again then. RC_FULL: there are too many questions. In the loop's thread. */
enum rc lookup_ask(struct lookup *l, struct loop *loop, struct slice key, lookup_fn *fn, double who,
                   struct finding **out);
void finding_drop(struct finding *f);
