#pragma once
/* least: a service's nodes, the one with the fewest requests in hand for its weight at the top: a heap that all loops
 * share under one lock. Choosing and counting are one step, so that two loops never take the same node for the same
 * reason. Among equals the one chosen longest ago is next. */
#include "base/lock.h"
#include "proxy/node_state.h"

struct least_entry { uint64_t load, turn; struct node_state *node; uint16_t index; };

struct least {
    struct lock lock;
    struct least_entry *heap;
    uint32_t count, cap;
    uint64_t turn;                      /* of the newest choice */
    uint64_t order;                     /* of the service that filled it */
    uint32_t version;                   /* ... with what it saw */
};

/* What may be chosen: the service's nodes that are usable. order grows with each generation of the service, version
 * with each change of its nodes: a heap that was filled for another one is filled anew. */
struct least_choice {
    uint64_t order;
    uint32_t version;
    uint32_t count;
    const uint16_t *indexes;
    struct node_state *const *states;   /* by index */
    const uint32_t *weights;            /* by index */
};

/* The index of the node with the least load whose bit (index modulo 64) is not in avoid, counted for one more request;
 * -1 when there is none. */
int least_pick(struct least *l, const struct least_choice *c, uint64_t avoid);
/* One request less or, with a node that was chosen otherwise, one more. */
void least_count(struct least *l, struct node_state *n, int change);
/* Control thread: the node goes. */
void least_remove(struct least *l, struct node_state *n);
void least_free(struct least *l);
