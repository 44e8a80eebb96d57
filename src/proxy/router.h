#pragma once
/* router: host and path to route. Built once, then immutable: a table of host names, and for each a tree of path
 * segments. Every (host, path) pair of every route has a rank, worked out beforehand from all that decides who wins
 * (docs/routing.md); a search walks the tree once and keeps the pair of the lowest rank whose route accepts the
 * request. */
#include "base/slice.h"

struct router;
struct router_query;

/* What the router must know of a route; the rest is the caller's. */
struct router_route {
    int32_t priority;               /* higher wins */
    uint32_t methods;               /* bit per enum method; 0: all but TRACE */
    const struct slice *other_methods;      /* names that are no enum method */
    uint32_t other_count;
    uint64_t listeners;             /* bit per listener; 0: all */
    uint32_t conditions;            /* how many further ones it has; 0: it is never asked whether they hold */
    uint32_t order;                 /* place in the file; lower wins */
};

/* Whether the further conditions of a route hold for a request. Asked only of routes that could still win. */
typedef bool router_holds_fn(const struct router_route *route, const struct router_query *query);

/* holds: NULL where no route has further conditions. */
struct router *router_new(router_holds_fn *holds);
void router_free(struct router *r);

/* host: "a.example.com", "*.example.com" or "" for any. path: "/exact", "/prefix/" + "*", or "" for any. Both must
 * outlive the router; hosts in lower case. */
void router_add(struct router *r, struct slice host, struct slice path, const struct router_route *route);
/* After the last router_add. */
void router_seal(struct router *r);

struct router_query {
    struct slice host, path;        /* lower case; normalised */
    unsigned method;                /* enum method */
    struct slice method_text;
    uint32_t listener;
    const void *request;            /* for router_holds_fn; the router does not look at it */
};

struct router_answer {
    const struct router_route *route;       /* NULL: none */
    uint32_t allowed;               /* without a route: methods that would have had one; 0: no such host and path */
    bool any_other;                 /* ... or names that are no enum method */
};

struct router_answer router_find(const struct router *r, const struct router_query *q);
