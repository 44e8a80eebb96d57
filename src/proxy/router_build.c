/* router_build: from a list of (host, path) pairs to the table that router.c searches. */
#include <stdlib.h>

#include "base/pace.h"
#include "proxy/router_tree.h"

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

struct router *router_new(router_holds_fn *holds)
{
    struct router *r = need(calloc(1, sizeof *r));
    r->holds = holds;
    r->pool_bytes = POOL_UNIT;      /* offset 0 means "none" */
    r->seed = (uint64_t)slice_hash(SLICE_OF("router")) << 32 | slice_hash(SLICE_OF("routes"));
    return r;
}

static void free_patterns(struct map *m)
{
    for (uint32_t i = 0; i < m->cap; i++)
        regex_free(m->entries[i].value);
    map_free(m);
}

void router_free(struct router *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->set_count; i++)
        regex_set_free(r->sets[i]);
    regex_set_free(r->hosts);
    free_patterns(&r->host_patterns);
    free_patterns(&r->path_patterns);
    free(r->sets);
    free(r->names);
    free(r->slots);
    free(r->pairs);
    free(r->pool);
    free(r);
}

static enum rc learn(struct map *m, struct slice text, unsigned flags, struct regex_error *e)
{
    struct regex *regex;
    if (!text.len || text.at[0] != '~' || map_get(m, text))
        return RC_OK;
    enum rc rc = regex_compile(slice_from(text, 1), flags, &regex, e);
    if (rc == RC_OK)
        map_put(m, text, regex);
    return rc;
}

enum rc router_add(struct router *r, struct slice host, struct slice path, const struct router_route *route,
                   struct regex_error *e)
{
    if (learn(&r->host_patterns, host, REGEX_NOCASE, e) != RC_OK || learn(&r->path_patterns, path, 0, e) != RC_OK)
        return RC_MALFORMED;
    if (!(r->count & (r->count - 1)))
        r->pairs = need(realloc(r->pairs, (r->count ? 2 * (size_t)r->count : 1) * sizeof *r->pairs));
    r->pairs[r->count++] = (struct pair){ route, host, path };
    return RC_OK;
}

/* -- ranks -- */

static int order_of(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static uint32_t conditions_of(const struct router_route *route)
{
    return route->conditions + (route->methods || route->other_count ? 1u : 0) + (route->listeners ? 1u : 0);
}

/* Who wins, first difference decides: priority, host class, longer wildcard, path class, nearer path, number of further
 * conditions, order in the file, order in the route. */
static int compare_rank(const void *left, const void *right)
{
    pace_keep();
    const struct draft *a = left, *b = right;
    const struct router_route *x = a->pair.route, *y = b->pair.route;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    int d = order_of(a->host, b->host);
    if (!d && a->host == HOST_WILDCARD)
        d = order_of(b->pair.host.len, a->pair.host.len);
    if (!d)
        d = order_of(a->path, b->path);
    if (!d && (a->path == PATH_PARAMETERS || a->path == PATH_PREFIX))
        d = path_shape_compare(&a->shape, &b->shape);
    if (!d)
        d = order_of(conditions_of(y), conditions_of(x));
    if (!d)
        d = order_of(x->order, y->order);
    return d ? d : order_of(a->rank, b->rank);
}

static int compare_text(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int d = n ? memcmp(a.at, b.at, n) : 0;
    return d ? d : order_of(a.len, b.len);
}

static int compare_place(const void *left, const void *right)
{
    pace_keep();
    const struct draft *a = left, *b = right;
    int d = order_of(a->host, b->host);
    if (!d)
        d = compare_text(a->pair.host, b->pair.host);
    if (!d)
        d = order_of((uint64_t)part_of(a), (uint64_t)part_of(b));
    if (!d)
        d = compare_text(a->key, b->key);
    return d ? d : order_of(a->rank, b->rank);
}

/* -- hosts -- */

static uint64_t dots_bit(struct slice name)
{
    unsigned dots = 0;
    for (size_t i = 0; i < name.len; i++)
        dots += name.at[i] == '.';
    return (uint64_t)1 << dots % 64;
}

static void put_slot(struct router *r, struct slot slot)
{
    uint32_t i = slot.hash & r->slot_mask;
    while (r->slots[i].tree)
        i = (i + 1) & r->slot_mask;
    r->slots[i] = slot;
}

/* Wildcards are kept as ".example.com", which no exact name can be. */
static void add_host(struct router *r, const struct draft *at, size_t count)
{
    struct slice name = at->pair.host;
    uint32_t best = best_of(at, count);
    if (at->host == HOST_ANY) {
        r->any_tree = tree_add(r, at, count, SLICE_NONE);
        r->any_best = best;
        return;
    }
    if (at->host == HOST_REGEX) {
        if (!r->hosts)
            r->hosts = regex_set_new();
        regex_set_add(r->hosts, pattern_of(&r->host_patterns, name), slice_from(name, 1), REGEX_NOCASE, best,
                      tree_add(r, at, count, SLICE_NONE));
        return;
    }
    if (at->host == HOST_WILDCARD) {
        name = slice_from(name, 1);
        r->wildcard_dots |= dots_bit(name);
    }
    uint32_t tree = tree_add(r, at, count, name);
    put_slot(r, (struct slot){ route_hash(r, name), tree, best, (uint32_t)(r->pool_bytes / POOL_UNIT) - tree });
}

static size_t host_group(const struct draft *at, size_t count)
{
    size_t n = 1;
    while (n < count && slice_equal(at[n].pair.host, at->pair.host))
        n++;
    return n;
}

static void add_hosts(struct router *r, const struct draft *drafts)
{
    size_t named = 0;
    for (size_t i = 0; i < r->count; i += host_group(drafts + i, r->count - i))
        named += drafts[i].host == HOST_EXACT || drafts[i].host == HOST_WILDCARD;
    if (named) {
        r->slot_mask = 7;
        while (((size_t)r->slot_mask + 1) * 2 < named * 3)
            r->slot_mask = r->slot_mask * 2 + 1;
        r->slots = need(calloc((size_t)r->slot_mask + 1, sizeof *r->slots));
    }
    for (size_t i = 0, n; i < r->count; i += n) {
        n = host_group(drafts + i, r->count - i);
        add_host(r, drafts + i, n);
        pace_keep();
    }
    if (r->hosts)
        regex_set_seal(r->hosts);
}

static struct draft *make_drafts(const struct router *r, char **keys)
{
    struct draft *drafts = need(calloc(r->count, sizeof *drafts));
    size_t bytes = 1;
    for (uint32_t i = 0; i < r->count; i++)
        bytes += r->pairs[i].path.len;
    char *at = *keys = need(malloc(bytes));
    for (uint32_t i = 0; i < r->count; i++) {
        struct draft *d = &drafts[i];
        d->pair = r->pairs[i];
        d->rank = i;
        d->host = (uint8_t)host_class_of(d->pair.host);
        d->path = (uint8_t)path_class_of(d->pair.path);
        d->key = d->path == PATH_REGEX ? d->pair.path : d->path == PATH_ANY ? SLICE_NONE : tree_key(d->pair.path, &at);
        d->shape = path_shape_of(d->path == PATH_REGEX ? SLICE_NONE : d->pair.path);
    }
    return drafts;
}

void router_seal(struct router *r)
{
    if (!r->count)
        return;
    char *keys;
    struct draft *drafts = make_drafts(r, &keys);
    qsort(drafts, r->count, sizeof *drafts, compare_rank);
    r->pairs = need(realloc(r->pairs, r->count * sizeof *r->pairs));
    for (uint32_t i = 0; i < r->count; i++) {
        drafts[i].rank = i;
        r->pairs[i] = drafts[i].pair;
    }
    qsort(drafts, r->count, sizeof *drafts, compare_place);
    add_hosts(r, drafts);
    tree_settle(r);
    free(drafts);
    free(keys);
}

static size_t map_bytes(const struct map *m)
{
    size_t bytes = m->cap * sizeof *m->entries;
    for (uint32_t i = 0; i < m->cap; i++)
        bytes += m->entries[i].value ? regex_bytes(m->entries[i].value) : 0;
    return bytes;
}

size_t router_memory(const struct router *r)
{
    size_t bytes = sizeof *r + r->pool_cap + r->count * sizeof *r->pairs + map_bytes(&r->host_patterns) +
                   r->names_count * sizeof *r->names + map_bytes(&r->path_patterns) +
                   (r->slots ? ((size_t)r->slot_mask + 1) * sizeof *r->slots : 0);
    for (uint32_t i = 0; i < r->set_count; i++)
        bytes += sizeof *r->sets + regex_set_bytes(r->sets[i]);
    return bytes + (r->hosts ? regex_set_bytes(r->hosts) : 0);
}
