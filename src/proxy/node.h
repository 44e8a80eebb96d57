#pragma once
/* node: one upstream address with its pools. It outlives generations: as long as one of them names the same service,
 * address and TLS settings, its idle connections and counters stay. */
#include <stdatomic.h>

#include "net/addr.h"
#include "proxy/pool.h"

struct node {
    struct slice key;                   /* identity, its own copy */
    struct addr addr;
    char text[ADDR_TEXT];               /* printed address, for the log */
    size_t text_len;
    char host[256];                     /* as configured: SNI and certificate check, and Host under HOST_NODE */
    char host_port[272];
    struct pool *pools;                 /* one per loop, touched by that loop only */
    uint32_t pool_count;
    unsigned refs;                      /* generations; control thread only */
    _Atomic uint32_t closing;           /* loops that still have to close their pool */
};

/* Control thread. key is copied. */
struct node *node_new(struct slice key, const struct addr *addr);
/* Gives it a pool per loop if it has none yet; before its generation is published. */
void node_open_pools(struct node *n, uint32_t loops);
void node_free(struct node *n);
