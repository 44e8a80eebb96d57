#include "proxy/generation.h"

#include <stdlib.h>

#include "base/map.h"
#include "proxy/balancer.h"

static struct map nodes, states, routes;
static void (*on_orphan)(struct node *n);

void registry_on_orphan(void (*orphan)(struct node *n)) { on_orphan = orphan; }

struct node *registry_node(struct slice key, const struct addr *addr)
{
    struct node *n = map_get(&nodes, key);
    if (!n) {
        n = node_new(key, addr);
        map_put(&nodes, n->key, n);
    }
    n->refs++;
    return n;
}

void registry_node_drop(struct node *n)
{
    if (--n->refs)
        return;
    map_remove(&nodes, n->key);
    if (n->state)
        node_state_drop(n->state);
    n->state = NULL;                    /* only idle connections are left */
    if (nodes.count == 0)
        map_free(&nodes);
    if (on_orphan)
        on_orphan(n);
    else
        node_free(n);
}

static struct slice own_copy(struct slice name)
{
    char *copy = malloc(name.len + 1);
    if (!copy)
        abort();
    memcpy(copy, name.at, name.len);
    return slice_make(copy, name.len);
}

struct service_state *registry_service(struct slice name)
{
    struct service_state *s = map_get(&states, name);
    if (!s) {
        s = aligned_alloc(_Alignof(struct service_state), sizeof *s);
        if (!s)
            abort();
        memset(s, 0, sizeof *s);
        s->version = 1;
        gate_init(&s->overload.gate);
        s->name = own_copy(name);
        breaker_init(&s->breaker, "service", s->name);
        map_put(&states, s->name, s);
    }
    s->refs++;
    return s;
}

void registry_service_drop(struct service_state *s)
{
    if (--s->refs)
        return;
    map_remove(&states, s->name);
    if (states.count == 0)
        map_free(&states);
    least_free(&s->least);
    free((char *)(uintptr_t)s->name.at);
    free(s);
}

struct route_state *registry_route(struct slice name)
{
    struct route_state *s = map_get(&routes, name);
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            abort();
        s->name = own_copy(name);
        breaker_init(&s->breaker, "route", s->name);
        map_put(&routes, s->name, s);
    }
    s->refs++;
    return s;
}

void registry_route_drop(struct route_state *s)
{
    if (--s->refs)
        return;
    map_remove(&routes, s->name);
    if (routes.count == 0)
        map_free(&routes);
    free((char *)(uintptr_t)s->name.at);
    free(s);
}

static bool holds(const struct router_route *match, const struct router_query *q)
{
    const struct route *route = (const struct route *)match;
    struct facts *facts = (struct facts *)(uintptr_t)q->request;        /* it remembers what it has read */
    return !condition_objection(route->condition, facts);
}

struct generation *generation_new(void)
{
    struct generation *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->refs = 1;
    arena_init(&g->arena, 64 * 1024);
    g->router = router_new(holds);
    return g;
}

void generation_open(struct generation *g, uint32_t loops)
{
    for (uint32_t i = 0; i < g->service_count; i++)
        service_slot_open(g->services[i], loops);
}

struct service_slot *generation_service(const struct generation *g, struct slice name)
{
    for (uint32_t i = 0; i < g->service_count; i++)
        if (slice_equal(g->services[i]->settings.name, name))
            return g->services[i];
    return NULL;
}

/* What is not in the arena. */
static void route_free(struct route *r)
{
    if (r->condition)
        condition_free(r->condition);
    if (r->rewrite)
        rewrite_free(r->rewrite);
    if (r->state)
        registry_route_drop(r->state);
}

void generation_free(struct generation *g)
{
    for (uint32_t i = 0; i < g->service_count; i++)
        service_slot_close(g->services[i]);
    for (uint32_t i = 0; i < g->listener_count; i++)
        tls_context_drop(g->listeners[i]->tls);
    for (uint32_t i = 0; i < g->route_count; i++)
        route_free(g->routes[i]);
    router_free(g->router);
    free(g->listeners);
    free(g->services);
    free(g->routes);
    free(g->logs);
    free(g->trusted);
    arena_free(&g->arena);
    free(g);
}

void generation_drop(struct generation *g)
{
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (g->unused)
        g->unused(g);
    else
        generation_free(g);
}
