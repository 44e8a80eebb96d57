#pragma once
/* node: one upstream address with its pools. It outlives generations: as long as one of them names the same service,
 * address and TLS settings, its idle connections and counters stay. */
#include <stdatomic.h>

#include "net/addr.h"
#include "proxy/node_state.h"
#include "proxy/pool.h"
#include "proxy/supply.h"

struct node {
    struct slice key;                   /* identity, its own copy */
    struct addr addr;
    char text[ADDR_TEXT];               /* printed address, for the log */
    size_t text_len;
    char host[256];                     /* as configured: SNI and certificate check, and Host under HOST_NODE */
    char host_port[272];
    struct node_state *state;           /* NULL: nobody counts what it does */
    struct supply *supply;              /* its connections, counted; NULL: they are not */
    struct pool *pools;                 /* one per loop, touched by that loop only */
    uint32_t pool_count;
    unsigned refs;                      /* generations; control thread only */
    uint32_t traffic;                   /* its number in traffic_labels */
    unsigned wanted;                    /* services in force that name it; control thread only */
    _Atomic bool is_leaving;            /* there is none: proxy/drain */
    _Atomic uint32_t closing;           /* loops that still have to close their pool */
    bool is_adhoc;                      /* one loop's own: no configuration names it, and tls counts, not a service's */
    struct tls_context *tls;            /* NULL: plain */
};

/* Its pool in a loop; a node of one loop alone has one pool. */
static inline struct pool *node_pool(const struct node *n, uint32_t loop)
{
    return &n->pools[loop < n->pool_count ? loop : 0];
}

/* Control thread. key is copied. */
struct node *node_new(struct slice key, const struct addr *addr);
/* Gives it a pool per loop if it has none yet; before its generation is published. */
void node_open_pools(struct node *n, uint32_t loops);
/* Sets host and host_port; usual: the port that goes without saying. */
void node_set_host(struct node *n, struct slice host, uint16_t port, uint16_t usual);
void node_free(struct node *n);
