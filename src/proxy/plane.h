#pragma once
/* plane: what one data-plane loop owns. */
#include "base/queue.h"
#include "base/random.h"
#include "http/front_h1.h"
#include "http/ws_relay.h"
#include "net/pipe.h"
#include "proxy/generation.h"
#include "proxy/hook_stats.h"
#include "proxy/hooks.h"
#include "proxy/metrics.h"
#include "proxy/recent.h"

struct ask;

enum { REQUEST_ID_BYTES = 32 };        /* of those that we make */

struct plane {
    struct loop *loop;                  /* its owner is this plane */
    uint32_t index;
    struct generation *generation;      /* the current one */
    struct fronts fronts;
    struct freelist ups, exchanges, tickets;
    struct pipes pipes;
    struct ws_shared ws_shared;
    struct link websockets;             /* struct websocket.in_all */
    struct counters counters;
    struct queue log;                   /* to the writer thread */
    struct recent recent;
    struct adhocs *adhocs;              /* nodes that no configuration names; NULL before the first */
    const struct hooks *hooks;
    void *_Atomic vm;                   /* the hooks' own; NULL before the first plugin. Others may look */
    struct series hook_stats;           /* struct hook_stat by number of hook_labels */
    struct series traffic, metrics;     /* struct traffic, struct metric */
    void (*ask)(struct plane *p, struct ask *a);        /* to the control thread; comes back by exchange_answered */
    void (*log_ready)(struct plane *p); /* bytes were queued: the writer may have to be woken */
    char id_next[REQUEST_ID_BYTES];     /* hex: random, per loop and start; number of the next request */
    struct random random;               /* for spreading load */
};

/* *p with a loop of its own, from all zero. The hooks come before the first generation. */
void plane_open(struct plane *p, uint32_t index);
/* Idle upstream connections end, and those that become idle. */
void plane_close_pools(struct plane *p);
/* Frees all but p->log, which others read, and the generation. No connection is left. */
void plane_close(struct plane *p);

static inline struct plane *plane_of(struct loop *loop) { return loop->owner; }

/* The current generation, counted for one more request. */
static inline struct generation *plane_enter(struct plane *p)
{
    struct generation *g = p->generation;
    g->users[p->index].count++;
    return g;
}

void plane_forget(struct plane *p, struct generation *g);      /* private: the last user has left */

static inline void plane_leave(struct plane *p, struct generation *g)
{
    if (--g->users[p->index].count == 0 && g != p->generation)
        plane_forget(p, g);
}

/* Makes g the current one; takes over the caller's reference. */
void plane_swap(struct plane *p, struct generation *g);
