#include "proxy/adhoc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/slots.h"
#include "net/resolve_async.h"
#include "net/tls_clients.h"

enum { AVOIDED_MS = 10000 };            /* how long an address that failed comes after the others */

struct known {
    struct node *node;                  /* refs: requests that use it */
    struct link in_recent;
    uint64_t failed_ms;
};

struct adhocs {                         /* of one loop */
    struct map nodes;                   /* key to struct known */
    struct link recent;                 /* struct known.in_recent, the one used longest ago first */
    struct slots asking;                /* struct adhoc that waits */
    struct ending ending;
    bool closed;
};

struct adhoc {
    struct plane *plane;
    struct arena *arena;
    struct adhoc_target target;
    struct task *wake;
    double number;                      /* in adhocs.asking; 0: it does not wait */
    struct tls_context *tls;
    const struct tls_context *own;      /* tls, where it is a service's */
    struct slice name;                  /* for TLS */
    struct known *known, *second;       /* in use */
    uint32_t tried;                     /* bit per address */
    struct resolved resolved;           /* its reason is that of any failure */
};

/* -- one loop's nodes -- */

static void on_end(struct loop *loop, struct ending *e)
{
    struct adhocs *all = LINK_OWNER(e, struct adhocs, ending);
    (void)loop;
    map_free(&all->nodes);
    slots_free(&all->asking);
    free(all);
}

static struct adhocs *adhocs_of(struct plane *p)
{
    if (p->adhocs)
        return p->adhocs;
    struct adhocs *all = calloc(1, sizeof *all);
    if (!all)
        abort();
    list_init(&all->recent);
    loop_at_end(p->loop, &all->ending, on_end);
    return p->adhocs = all;
}

static void forget(struct adhocs *all, struct known *k)
{
    pool_close(&k->node->pools[0]);
    map_remove(&all->nodes, k->node->key);
    link_remove(&k->in_recent);
    node_free(k->node);
    free(k);
}

/* Nodes in use stay, however many they are. */
static void make_room(struct adhocs *all, uint32_t max)
{
    for (struct link *l = all->recent.next, *next; l != &all->recent && all->nodes.count > max; l = next) {
        struct known *k = LINK_OWNER(l, struct known, in_recent);
        next = l->next;
        if (k->node->refs == 0)
            forget(all, k);
    }
}

void adhoc_close(struct plane *p)
{
    if (!p->adhocs)
        return;
    p->adhocs->closed = true;
    make_room(p->adhocs, 0);
}

/* Connections may be shared only where all that decides how they were made is the same. A service's context is known by
 * its place, which is nobody else's as long as the node holds it; others by their settings. */
static struct slice key_of(struct adhoc *a, const struct addr *addr)
{
    const struct adhoc_target *t = &a->target;
    char address[ADDR_TEXT];
    size_t n = addr_print(addr, address), size = n + a->name.len + t->host.len + t->ca.len + 32;
    char *key = arena_alloc(a->arena, size);
    int len = snprintf(key, size, "%d%d|%p|%.*s|%.*s|%.*s|%.*s", t->is_tls, t->verify, (const void *)a->own, (int)n,
                       address, (int)t->host.len, t->host.at, (int)a->name.len, a->name.at, (int)t->ca.len, t->ca.at);
    return slice_make(key, (size_t)len);
}

/* For the connections that it will make. */
static void set_tls(struct node *n, struct tls_context *tls)
{
    if (n->tls == tls)
        return;
    tls_context_drop(n->tls);
    n->tls = tls;
    tls_context_keep(tls);
}

static struct known *make(struct adhoc *a, struct slice key, const struct addr *addr)
{
    const struct adhoc_target *t = &a->target;
    struct adhocs *all = adhocs_of(a->plane);
    struct known *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    struct node *n = k->node = node_new(key, addr);
    n->is_adhoc = true;
    node_open_pools(n, 1);
    node_set_host(n, t->host, t->port, t->is_tls ? 443 : 80);
    snprintf(n->host, sizeof n->host, "%.*s", (int)a->name.len, a->name.at);
    map_put(&all->nodes, n->key, k);
    list_append(&all->recent, &k->in_recent);
    return k;
}

/* -- one request's way -- */

struct adhoc *adhoc_new(struct plane *p, const struct adhoc_target *t, struct arena *a, struct task *wake)
{
    struct adhoc *made = arena_zero(a, sizeof *made);
    made->plane = p;
    made->arena = a;
    made->target = *t;
    made->wake = wake;
    return made;
}

static void on_answer(struct loop *loop, double who)
{
    struct adhocs *all = adhocs_of(plane_of(loop));
    struct adhoc *a = slots_get(&all->asking, who);
    if (!a)
        return;                         /* it has gone away meanwhile */
    slots_remove(&all->asking, who);
    a->number = 0;
    loop_ready(loop, a->wake);
}

static enum rc find_tls(struct adhoc *a, const struct service *s)
{
    if (!a->target.is_tls || a->tls)
        return RC_OK;
    if (s && s->tls) {
        a->own = a->tls = s->tls;
        tls_context_keep(a->tls);
        if (s->settings.tls_server_name.len)
            a->name = s->settings.tls_server_name;
        return RC_OK;
    }
    struct tls_client_settings wish = { .verify = a->target.verify, .ca = a->target.ca };
    enum rc rc = tls_client_ask(a->plane->loop, &wish, on_answer, a->number, &a->tls, a->resolved.why,
                                sizeof a->resolved.why);
    return rc == RC_OK || rc == RC_AGAIN ? rc : RC_UPSTREAM_TLS;
}

/* Both must be there; either may have to be waited for. */
static enum rc prepare(struct adhoc *a, const struct service *s)
{
    struct adhocs *all = adhocs_of(a->plane);
    if (a->number)
        return RC_AGAIN;
    a->number = slots_add(&all->asking, a);
    if (!a->name.at)
        a->name = a->target.server_name.len ? a->target.server_name : a->target.host;
    enum rc rc = RC_OK;
    if (!a->resolved.count)
        rc = resolve_async(a->plane->loop, a->target.host, a->target.port, &a->resolved, on_answer, a->number);
    if (rc == RC_OK)
        rc = find_tls(a, s);
    if (rc != RC_AGAIN) {
        slots_remove(&all->asking, a->number);
        a->number = 0;
    }
    return rc;
}

static void leave(struct adhoc *a, struct known **k)
{
    struct adhocs *all = adhocs_of(a->plane);
    struct known *had = *k;
    *k = NULL;
    if (had && --had->node->refs == 0)
        make_room(all, all->closed ? 0 : ADHOC_NODES_MAX);
}

bool adhoc_has_more(const struct adhoc *a) { return a->tried != (1u << a->resolved.count) - 1; }

/* Of the addresses that were not tried, the first that has not failed lately; else the first. */
static struct known *choose(struct adhoc *a)
{
    struct adhocs *all = adhocs_of(a->plane);
    uint64_t now = a->plane->loop->clock.now_ms;
    struct slice key = SLICE_NONE;
    int best = RESOLVED_MAX;
    if (!adhoc_has_more(a))
        a->tried = 0;                   /* all had their turn */
    for (int i = 0; i < a->resolved.count; i++) {
        if (a->tried >> i & 1)
            continue;
        struct slice its_key = key_of(a, &a->resolved.at[i]);
        const struct known *k = map_get(&all->nodes, its_key);
        bool is_good = !k || !k->failed_ms || now - k->failed_ms >= AVOIDED_MS;
        if (best == RESOLVED_MAX || is_good) {
            best = i;
            key = its_key;
        }
        if (is_good)
            break;
    }
    assert(best < RESOLVED_MAX);        /* there is an address, and one that was not tried */
    a->tried |= 1u << best;
    struct known *k = map_get(&all->nodes, key);
    return k ? k : make(a, key, &a->resolved.at[best]);
}

static struct known *take(struct adhoc *a)
{
    struct adhocs *all = adhocs_of(a->plane);
    struct known *k = choose(a);
    if (a->tls)
        set_tls(k->node, a->tls);
    k->node->refs++;
    link_remove(&k->in_recent);
    list_append(&all->recent, &k->in_recent);
    make_room(all, ADHOC_NODES_MAX);
    return k;
}

static void blame(struct adhoc *a, struct known *k) { k->failed_ms = a->plane->loop->clock.now_ms; }

enum rc adhoc_pick(struct adhoc *a, const struct service *s, struct node **out)
{
    *out = NULL;
    if (a->known)
        blame(a, a->known);
    leave(a, &a->known);
    enum rc rc = prepare(a, s);
    if (rc != RC_OK)
        return rc;
    a->known = take(a);
    *out = a->known->node;
    return RC_OK;
}

struct node *adhoc_pick_second(struct adhoc *a)
{
    assert(!a->second && adhoc_has_more(a));
    a->second = take(a);
    return a->second->node;
}

void adhoc_drop_second(struct adhoc *a) { leave(a, &a->second); }

void adhoc_take_second(struct adhoc *a)
{
    leave(a, &a->known);
    a->known = a->second;
    a->second = NULL;
}

void adhoc_blame(struct adhoc *a, const struct node *n)
{
    if (a->known && a->known->node == n)
        blame(a, a->known);
    if (a->second && a->second->node == n)
        blame(a, a->second);
}

const char *adhoc_why(const struct adhoc *a) { return a->resolved.why; }

void adhoc_drop(struct adhoc *a)
{
    leave(a, &a->known);
    leave(a, &a->second);
    tls_context_drop(a->tls);
    a->tls = NULL;
    if (a->number)
        slots_remove(&adhocs_of(a->plane)->asking, a->number);
    a->number = 0;
}

/* What lua/tidegate/config/tree.lua says where a service says nothing. */
struct service *adhoc_service(void)
{
    static struct service s = {
        .settings = {
            .host_policy = HOST_PRESERVE,
            .connect_ms = 2000, .connect_delay_ms = 250, .send_ms = 30000, .first_byte_ms = 30000, .idle_ms = 60000,
            .retry = {
                .attempts = 1, .on = RETRY_ON_CONNECT | RETRY_ON_RESET, .methods = METHODS_IDEMPOTENT,
                .backoff_ms = 25, .backoff_max_ms = 250, .budget_percent = 20, .budget_min = 10,
            },
            .pool_idle_per_node = 64, .pool_idle_ms = 60000, .pool_lifetime_ms = 3600000, .pool_max_requests = 10000,
            .tls_verify = true,
        },
    };
    return &s;
}
