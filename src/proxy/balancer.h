#pragma once
/* balancer: picks a node. What must be fair is fair over all loops together: turns are counted, and requests in hand
 * are known, once per service; a loop has nothing of its own but a list of the nodes that are usable now.
 *
 * turns               round_robin, weighted_round_robin: one schedule, one cursor for all loops
 * random              a place of the schedule at random
 * two_choices         of two such, the one with fewer requests in hand for its weight
 * least_latency       the same, where a request counts as much as the node's answers take to begin
 * least_connections   proxy/least
 * ip_hash, consistent_hash    proxy/ring; the latter passes over nodes that have more than their share in hand */
#include "proxy/service.h"

enum { BALANCER_TURNS_MAX = 4096 };     /* length of a schedule; larger weights are scaled down to fit */

/* Lays out the turns of a smooth weighted round robin: heavier nodes come more often, evenly spread. schedule has room
 * for BALANCER_TURNS_MAX; gives its length. */
uint32_t balancer_schedule(const uint32_t *weights, uint32_t count, uint16_t *schedule);

/* Control thread. Once the nodes are there: what all loops share. The lists lie in the arena. */
void balancer_prepare(struct service *s, struct arena *a);
/* What each loop has for itself; once, before the service is published. */
void balancer_open(struct service *s, uint32_t loops);
void balancer_close(struct service *s);

/* One request's way to a node, and on to others. */
struct pick {
    uint64_t tried;                     /* bit per node index modulo 64: others are preferred */
    uint64_t hash;                      /* for hashes, where has_hash */
    bool has_hash;
    struct service *service;            /* whose node it has in hand, counted there; NULL: none */
    struct node *node;
};

struct node *balancer_choose(struct pick *p, struct service *s, uint32_t loop, uint64_t now_ms);     /* private */
void balancer_uncount(const struct service *s, struct node *n);         /* private */

/* The node that it has in hand, if any, has done with the request. */
static inline void balancer_leave(struct pick *p)
{
    const struct service *s = p->service;
    if (!s)
        return;
    p->service = NULL;
    if (s->only)
        atomic_fetch_sub_explicit(&p->node->state->active, 1, memory_order_relaxed);
    else
        balancer_uncount(s, p->node);
}

/* Leaves the node in hand and takes one of the service, which has one more request then, until it is left. It is in
 * p->tried from now on; when all were tried backups come, and then they begin anew. NULL: none is usable. */
static inline struct node *balancer_pick(struct pick *p, struct service *s, uint32_t loop, uint64_t now_ms)
{
    balancer_leave(p);
    if (!s->only)
        return balancer_choose(p, s, loop, now_ms);
    p->service = s;
    p->node = s->only;
    atomic_fetch_add_explicit(&s->only->state->active, 1, memory_order_relaxed);
    return s->only;
}

/* The same with a node that is wanted for a reason of its own; NULL where it is not usable, or was tried. */
struct node *balancer_take(struct pick *p, struct service *s, uint32_t index, uint32_t loop, uint64_t now_ms);

/* Whether a node is usable that was not tried yet. */
bool balancer_has_other(const struct pick *p, const struct service *s, uint32_t loop, uint64_t now_ms);
/* Whether a backup is usable that was not tried yet: for who has been at all others. */
bool balancer_has_backup(const struct pick *p, const struct service *s);
