#include "proxy/service_slot.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "proxy/generation.h"
#include "proxy/traffic.h"

static void (*on_unused)(struct service *s);

void service_on_unused(void (*unused)(struct service *s)) { on_unused = unused; }

/* -- nodes -- */

/* Connections may be shared by services only where all that decides how they were made is the same. */
static struct slice node_key(struct service *s, const struct addr *a, const char *host)
{
    const struct service_settings *t = &s->settings;
    char address[ADDR_TEXT];
    size_t n = addr_print(a, address);
    size_t size = t->name.len + n + strlen(host) + t->tls_ca.len + t->tls_server_name.len + t->tls_cert.len +
                  t->tls_key.len + 64;
    char *key = arena_alloc(&s->arena, size);
    int len = snprintf(key, size, "%.*s|%.*s|%s|%d|%d|%.*s|%.*s|%.*s|%.*s", (int)t->name.len, t->name.at, (int)n,
                       address, host, t->protocol, t->tls_verify, (int)t->tls_ca.len, t->tls_ca.at,
                       (int)t->tls_server_name.len, t->tls_server_name.at, (int)t->tls_cert.len, t->tls_cert.at,
                       (int)t->tls_key.len, t->tls_key.at);
    return slice_make(key, (size_t)len);
}

/* What is known of a node holds for its address and name, however it is spoken to. */
static struct slice state_key(struct service *s, const struct addr *a, const char *host)
{
    char address[ADDR_TEXT];
    size_t n = addr_print(a, address), size = s->settings.name.len + n + strlen(host) + 4;
    char *key = arena_alloc(&s->arena, size);
    int len = snprintf(key, size, "%.*s|%.*s|%s", (int)s->settings.name.len, s->settings.name.at, (int)n, address,
                       host);
    return slice_make(key, (size_t)len);
}

static struct node *node_for(struct service *s, const struct node_settings *wish, const struct addr *a)
{
    char host[256];
    snprintf(host, sizeof host, "%.*s", (int)wish->host.len, wish->host.at);
    struct node *n = registry_node(node_key(s, a, host), a);
    if (!n->state)
        n->state = node_state_get(s->state, state_key(s, a, host), n->text);
    if (!n->supply)
        n->supply = supply_keep(n->state->supply);
    if (n->refs > 1)
        return n;
    n->traffic = traffic_number("node", s->settings.name, slice_make(n->text, n->text_len));
    uint16_t usual = s->settings.protocol == PROTOCOL_HTTPS ? 443 : 80;
    if (wish->is_unix)
        node_set_host(n, SLICE_OF("localhost"), usual, usual);
    else
        node_set_host(n, slice_text(host), wish->port, usual);
    return n;
}

static void add_node(struct service *s, const struct node_settings *wish, const struct addr *a)
{
    uint32_t i = s->node_count++;
    s->nodes[i] = node_for(s, wish, a);
    s->weights[i] = wish->weight ? wish->weight : 1;
    s->backups[i] = wish->backup;
}

/* How many addresses a wish has now, and where they are. */
static const struct addr *addresses_of(const struct node_wish *w, struct addr *own, uint32_t *count)
{
    if (w->name)
        return name_addresses(w->name, count);
    bool good = w->settings.is_unix ? addr_set_unix(w->settings.host, own)
                                    : addr_parse_ip(w->settings.host, w->settings.port, own);
    *count = good;
    return own;
}

static void add_nodes(struct service *s, const struct node_wish *w, uint32_t room)
{
    struct addr own;
    uint32_t count;
    const struct addr *found = addresses_of(w, &own, &count);
    for (uint32_t i = 0; i < count && s->node_count < room; i++) {
        struct addr a = found[i];
        if (!w->settings.is_unix)
            addr_set_port(&a, w->settings.port);
        add_node(s, &w->settings, &a);
    }
}

static uint32_t count_addresses(const struct node_wish *wishes, uint32_t wish_count)
{
    struct addr own;
    uint32_t all = 0, count;
    for (uint32_t i = 0; i < wish_count; i++) {
        (void)addresses_of(&wishes[i], &own, &count);
        all += count;
    }
    return all;
}

static uint32_t count_wanted(const struct service_slot *slot, const struct node_wish *found, uint32_t found_count)
{
    uint32_t all = count_addresses(slot->wishes, slot->wish_count) + count_addresses(found, found_count);
    if (all <= BALANCER_TURNS_MAX)
        return all;
    log_warn("names", "a service has too many nodes: the first are used", "service", log_slice(slot->settings.name),
             "nodes", log_number(all), "used", log_number(BALANCER_TURNS_MAX));
    return BALANCER_TURNS_MAX;
}

/* -- services -- */

/* With its nodes, but not yet fit for requests. */
static struct service *gather(struct service_slot *slot)
{
    enum { BLOCK = 1024 };              /* most services are small */
    struct service *s = calloc(1, sizeof *s);
    uint32_t found_count = 0;
    const struct node_wish *found = slot->source ? source_wishes(slot->source, &found_count) : NULL;
    uint32_t room = count_wanted(slot, found, found_count);
    if (!s)
        abort();
    arena_init(&s->arena, BLOCK);
    s->refs = 1;
    s->slot = slot;
    s->settings = slot->settings;
    s->tls = slot->tls;
    if (s->tls)
        tls_context_keep(s->tls);
    s->state = registry_service(s->settings.name);
    s->nodes = arena_alloc(&s->arena, (room + 1) * sizeof(*s->nodes));
    s->weights = arena_alloc(&s->arena, (room + 1) * sizeof *s->weights);
    s->backups = arena_alloc(&s->arena, (room + 1) * sizeof *s->backups);
    for (uint32_t i = 0; i < slot->wish_count; i++)
        add_nodes(s, &slot->wishes[i], room);
    for (uint32_t i = 0; i < found_count; i++)
        add_nodes(s, &found[i], room);
    return s;
}

static bool has_same_nodes(const struct service *a, const struct service *b)
{
    uint32_t n = a->node_count;
    return n == b->node_count && memcmp(a->nodes, b->nodes, n * sizeof(*a->nodes)) == 0 &&
           memcmp(a->weights, b->weights, n * sizeof *a->weights) == 0 &&
           memcmp(a->backups, b->backups, n * sizeof *a->backups) == 0;
}

static void finish(struct service *s, uint32_t loops)
{
    balancer_prepare(s, &s->arena);
    balancer_open(s, loops);
    for (uint32_t i = 0; i < s->node_count; i++) {
        node_open_pools(s->nodes[i], loops);
        gate_set(&s->nodes[i]->supply->gate, s->settings.pool_max_per_node, s->settings.pool_queue, NULL);
    }
    atomic_fetch_add_explicit(&s->refs, loops, memory_order_relaxed);
}

void service_free(struct service *s)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        registry_node_drop(s->nodes[i]);
    registry_service_drop(s->state);
    balancer_close(s);
    tls_context_drop(s->tls);
    arena_free(&s->arena);
    free(s);
}

enum rc service_lacks(const struct service *s)
{
    return s->node_count == 0 && s->slot && (s->slot->wish_count || s->slot->source) ? RC_NO_ADDRESS : RC_NO_NODE;
}

void service_drop(struct service *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (on_unused)
        on_unused(s);
    else
        service_free(s);
}

/* -- slots -- */

void service_slot_open(struct service_slot *s, uint32_t loops)
{
    s->newest = gather(s);
    finish(s->newest, loops);
    overload_settle(&s->newest->state->overload, &s->settings.overload);
    s->loop_count = loops;
    s->now = malloc(loops * sizeof(*s->now));
    if (!s->now)
        abort();
    for (uint32_t i = 0; i < loops; i++)
        s->now[i] = s->newest;
}

struct service *service_slot_renew(struct service_slot *s)
{
    struct service *made = gather(s);
    if (has_same_nodes(made, s->newest)) {
        service_free(made);
        return NULL;
    }
    finish(made, s->loop_count);
    s->newest = made;
    return made;
}

bool service_slot_has_news(const struct service_slot *s)
{
    for (uint32_t i = 0; i < s->wish_count; i++)
        if (wish_has_news(&s->wishes[i]))
            return true;
    return s->source && source_has_news(s->source);
}

static void drop_here(struct service *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        service_free(s);
}

void service_slot_close(struct service_slot *s)
{
    for (uint32_t i = 0; i < s->loop_count; i++)
        drop_here(s->now[i]);
    if (s->newest)
        drop_here(s->newest);
    for (uint32_t i = 0; i < s->wish_count; i++)
        wish_drop(&s->wishes[i]);
    if (s->source)
        source_drop(s->source);
    free(s->now);
    tls_context_drop(s->tls);
}

void service_swap(struct service_slot *slot, struct service *s, uint32_t loop)
{
    struct service *old = slot->now[loop];
    slot->now[loop] = s;
    if (old->choices[loop].users == 0)
        service_drop(old);
}
