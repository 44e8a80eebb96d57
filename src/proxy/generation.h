#pragma once
/* generation: everything that a request needs and a configuration decides. Built by the control thread, then immutable.
 * A request keeps the generation it started with until its last byte.
 *
 * Counting: each loop counts its own users without atomics and holds one shared reference as long as it has any (or the
 * generation is its current one). The last reference hands the generation to `unused`, which frees it in the thread
 * that owns nodes and names. */
#include <stdatomic.h>

#include "base/arena.h"
#include "http/header.h"
#include "net/addr.h"
#include "proxy/condition.h"
#include "proxy/by_path.h"
#include "proxy/rewrite.h"
#include "proxy/router.h"
#include "proxy/service_slot.h"
#include "proxy/settings.h"
#include "proxy/split.h"
#include "proxy/websocket_rules.h"

enum { LOOPS_MAX = 64, LISTENERS_MAX = 64 };

struct listener_use {
    struct listener_settings settings;
    struct addr addr;
    struct tls_context *tls;            /* NULL: plain */
};

struct route {
    struct router_route match;          /* first: the router gives it back */
    struct route_settings settings;
    struct service_slot *service;       /* NULL: no single one */
    struct split *split;                /* NULL: none */
    struct by_path *by_path;              /* NULL: none */
    struct route_state *state;          /* NULL: none is kept */
    struct condition *condition;        /* NULL: none */
    struct rewrite *rewrite;            /* NULL: none */
    struct fixed_header *headers;       /* of ACTION_RESPOND and ACTION_REDIRECT */
    struct websocket_rules *websocket;  /* NULL: its WebSockets pass unseen */
    uint32_t chain;                     /* number of its plugin chain: 1 + index of the route */
    uint32_t traffic;                   /* its number in traffic_labels */
};

/* What must survive a reload: kept by the route's name, shared by all loops. */
struct route_state {
    struct breaker breaker;
    struct slice name;                  /* its own copy */
    unsigned refs;                      /* control thread only */
};

struct access_log {
    struct access_log_settings settings;
    void *format;                       /* compiled, struct log_part[] in the arena */
    uint32_t parts;
    uint32_t sink;                      /* tag of its lines in the writer's queues */
};

struct loop_users {                     /* a cache line each: loops must not share one */
    uint32_t count;
    void *plugins;                      /* the hooks' own: the generation's plugins in that loop; NULL: none */
    char pad[48];
};

struct generation {
    uint64_t number;
    _Atomic uint32_t refs;
    void (*unused)(struct generation *g);       /* NULL: freed at once */
    struct arena arena;
    struct gateway_settings gateway;
    enum header_id id_header;           /* gateway.id_header where it is a known name */
    struct network *trusted;
    uint32_t trusted_count;
    struct listener_use **listeners;
    struct service_slot **services;
    struct route **routes;
    struct access_log **logs;
    uint64_t internal_listeners;        /* bit per number of a listener */
    uint32_t listener_count, service_count, route_count, log_count;
    struct router *router;              /* its queries hold a struct facts, where there are conditions */
    bool has_conditions;
    struct slice plugins;               /* what the loops load; empty: no plugins */
    struct loop_users users[LOOPS_MAX];
};

struct generation *generation_new(void);
/* Makes what the loops need for themselves; once, before it is published. */
void generation_open(struct generation *g, uint32_t loops);
/* The thread that owns the registry only. */
void generation_free(struct generation *g);

/* NULL when there is none of that name. */
struct service_slot *generation_service(const struct generation *g, struct slice name);

static inline bool generation_trusts(const struct generation *g, const struct peer *p)
{
    for (uint32_t i = 0; i < g->trusted_count; i++)
        if (network_has(&g->trusted[i], p))
            return true;
    return false;
}

static inline void generation_keep(struct generation *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
}
void generation_drop(struct generation *g);

/* -- what outlives generations; one registry per process, control thread only -- */

/* Called when the last generation that names a node is gone: closes its pools and frees it. NULL: node_free. */
void registry_on_orphan(void (*orphan)(struct node *n));
struct node *registry_node(struct slice key, const struct addr *addr);
void registry_node_drop(struct node *n);
struct service_state *registry_service(struct slice name);
void registry_service_drop(struct service_state *s);
struct route_state *registry_route(struct slice name);
void registry_route_drop(struct route_state *s);
