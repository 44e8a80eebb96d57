#pragma once
/* router: host and path to route. Built once, then immutable. Every (host, path) pair of every route has a rank, worked
 * out beforehand from all that decides who wins (docs/routing.md). A search finds the host in a table, walks along the
 * path once, and keeps the pair of the lowest rank whose route accepts the request. Regular expressions and further
 * conditions are asked last, in the order of ranks, and only where they could still win. */
#include "proxy/route_pattern.h"

struct router;
struct router_query;

/* What the router must know of a route; the rest is the caller's. */
struct router_route {
    int32_t priority;               /* higher wins */
    uint32_t methods;               /* bit per enum method; 0 and no others: all but TRACE */
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

/* host and path as route_pattern.h has them, hosts in lower case. Both must outlive the router. RC_MALFORMED with the
 * reason: a regular expression that is none. */
enum rc router_add(struct router *r, struct slice host, struct slice path, const struct router_route *route,
                   struct regex_error *e);
/* After the last router_add. */
void router_seal(struct router *r);
/* Memory of the sealed router with its compiled patterns; without what its callers keep (hosts, paths, routes). */
size_t router_memory(const struct router *r);

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
    bool is_undecided;              /* a pattern that might have decided ran into its limit: nobody can tell */
    uint32_t param_count;
    struct route_param params[ROUTE_PARAMS_MAX];    /* only the first param_count are set */
};

void router_find(const struct router *r, const struct router_query *q, struct router_answer *out);

/* -- one by one, for people who ask why (router_explain.c) -- */

/* What speaks against a pair, in the order in which it is looked at. */
enum router_verdict { VERDICT_HOST, VERDICT_PATH, VERDICT_METHOD, VERDICT_LISTENER, VERDICT_CONDITIONS, VERDICT_FITS };

/* How many (host, path) pairs there are. */
uint32_t router_pairs(const struct router *r);
/* The pair of a rank, from 0 on, and whether it fits the request by itself. */
struct router_candidate { const struct router_route *route; struct slice host, path; enum router_verdict verdict; };
struct router_candidate router_judge(const struct router *r, const struct router_query *q, uint32_t rank);
