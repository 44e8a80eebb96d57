#pragma once
/* plane: what one data-plane loop owns. */
#include "base/queue.h"
#include "http/front_h1.h"
#include "net/pipe.h"
#include "proxy/generation.h"
#include "proxy/metrics.h"

struct plane {
    struct loop *loop;                  /* its owner is this plane */
    uint32_t index;
    struct generation *generation;      /* the current one */
    struct fronts fronts;
    struct freelist ups, exchanges;
    struct pipes pipes;
    struct counters counters;
    struct queue log;                   /* to the writer thread */
    void (*log_ready)(struct plane *p); /* bytes were queued: the writer may have to be woken */
    char id_prefix[17];                 /* of request ids: random, per loop and start */
    uint64_t id_next;
};

static inline struct plane *plane_of(struct loop *loop) { return loop->owner; }

/* The current generation, counted for one more request. */
static inline struct generation *plane_enter(struct plane *p)
{
    struct generation *g = p->generation;
    g->users[p->index].count++;
    return g;
}

static inline void plane_leave(struct plane *p, struct generation *g)
{
    if (--g->users[p->index].count == 0 && g != p->generation)
        generation_drop(g);
}

/* Makes g the current one; takes over the caller's reference. */
void plane_swap(struct plane *p, struct generation *g);
