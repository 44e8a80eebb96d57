/* router_build: from a list of (host, path) pairs to the table that router.c searches. */
#include <stdlib.h>

#include "http/request.h"
#include "proxy/router_table.h"

struct draft {                      /* a pair, while the table is built */
    struct pair pair;
    struct path_shape shape;
    struct slice key;               /* the path so that bytes sort like segments, a prefix right after its stem */
    uint32_t rank;                  /* first: the place in which it was added */
    uint8_t host, path;             /* enum host_class, enum path_class */
};

enum {
    KEY_SLASH = 0, KEY_PARAMETER = 0xff,        /* in keys; neither is a byte of a path */
    ROW_MAX = 6,                    /* children that stand in a row */
};

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

/* The paths of a host in its tree, then its regular expressions, then its routes without a path. */
static int part_of(const struct draft *d)
{
    return d->path == PATH_REGEX ? 1 : d->path == PATH_ANY ? 2 : 0;
}

static int compare_place(const void *left, const void *right)
{
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

static struct slice make_key(struct slice path, char **to)
{
    struct slice segment, rest = path_pattern_stem(path);
    char *start = *to, *at = start;
    while (path_next_segment(&rest, &segment)) {
        *at++ = KEY_SLASH;
        if (segment_is_parameter(segment)) {
            *at++ = (char)KEY_PARAMETER;
        } else if (segment.len) {
            memcpy(at, segment.at, segment.len);
            at += segment.len;
        }
    }
    *to = at;
    return slice_make(start, (size_t)(at - start));
}

/* -- the pool -- */

static uint32_t take(struct router *r, size_t bytes)
{
    size_t at = r->pool_bytes;
    r->pool_bytes += (bytes + POOL_UNIT - 1) / POOL_UNIT * POOL_UNIT;
    if (r->pool_bytes / POOL_UNIT > UINT32_MAX)
        abort();
    if (r->pool_bytes > r->pool_cap) {
        r->pool_cap = 2 * r->pool_bytes;
        r->pool = need(realloc(r->pool, r->pool_cap));
    }
    memset(r->pool + at, 0, r->pool_bytes - at);
    return (uint32_t)(at / POOL_UNIT);
}

static uint16_t methods_of(const struct router_route *route)
{
    if (!route->methods && !route->other_count)
        return (uint16_t)(((1u << METHOD_COUNT) - 1) & ~(1u << METHOD_TRACE));
    return (uint16_t)(route->methods | (route->other_count ? 1u << METHOD_OTHER : 0));
}

static bool has_parameters(const struct router *r, struct slice path)
{
    const struct regex *regex = pattern_of(&r->path_patterns, path);
    return regex ? regex_names(regex) > 0 : path.len && memchr(path.at, '{', path.len);
}

static struct entry make_entry(const struct router *r, const struct draft *d)
{
    const struct router_route *route = d->pair.route;
    unsigned flags = (route->listeners ? ENTRY_LISTENERS : 0u) | (route->conditions ? ENTRY_CONDITIONS : 0u) |
                     (route->other_count ? ENTRY_OTHER_METHODS : 0u) |
                     (has_parameters(r, d->pair.path) ? ENTRY_PARAMETERS : 0u);
    return (struct entry){ route, d->rank, methods_of(route), (uint16_t)flags };
}

/* The drafts from `at` on, which are of one place: all of them, or those that are prefixes or not. */
enum which { WHICH_ALL, WHICH_EXACT, WHICH_PREFIX };

static uint32_t add_entries(struct router *r, const struct draft *at, size_t count, enum which which)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += which == WHICH_ALL || (at[i].path == PATH_PREFIX) == (which == WHICH_PREFIX);
    if (!n)
        return 0;
    uint32_t offset = take(r, n * sizeof(struct entry));
    struct entry *e = pool_at(r, offset);
    for (size_t i = 0; i < count; i++)
        if (which == WHICH_ALL || (at[i].path == PATH_PREFIX) == (which == WHICH_PREFIX))
            *e++ = make_entry(r, &at[i]);
    e[-1].flags |= ENTRY_LAST;
    return offset;
}

static uint32_t lowest(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t best_of(const struct draft *at, size_t count)
{
    uint32_t best = UINT32_MAX;
    for (size_t i = 0; i < count; i++)
        best = lowest(best, at[i].rank);
    return best;
}

/* -- trees -- */

/* The segment of a key that begins behind the slash at `from`. */
static struct slice segment_at(struct slice key, size_t from)
{
    const char *start = key.at + from + 1;
    size_t left = key.len - from - 1;
    const char *end = left ? memchr(start, KEY_SLASH, left) : NULL;
    return slice_make(start, end ? (size_t)(end - start) : left);
}

/* How many of the drafts from `at` on go on with the same segment. */
static size_t group_at(const struct draft *at, size_t count, size_t from)
{
    struct slice segment = segment_at(at->key, from);
    size_t n = 1;
    while (n < count && slice_equal(segment_at(at[n].key, from), segment))
        n++;
    return n;
}

static bool is_parameter_key(struct slice segment)
{
    return segment.len == 1 && (uint8_t)segment.at[0] == KEY_PARAMETER;
}

static void put_edge(struct children *c, uint32_t hash, uint32_t node)
{
    uint32_t i = c->count++;
    if (c->mask)
        for (i = hash & c->mask; c->edges[i].node; i = (i + 1) & c->mask)
            ;
    c->edges[i] = (struct edge){ hash, node };
}

static uint32_t make_children(struct router *r, size_t count)
{
    size_t cap = count;
    if (count > ROW_MAX)
        for (cap = 8; cap * 2 < count * 3;)
            cap *= 2;
    uint32_t offset = take(r, sizeof(struct children) + cap * sizeof(struct edge));
    ((struct children *)pool_at(r, offset))->mask = count > ROW_MAX ? (uint32_t)cap - 1 : 0;
    return offset;
}

/* The node of drafts whose keys have the first `from` bytes in common. The pool may move: nothing is held by pointer
 * over a call that takes from it. */
static uint32_t add_node(struct router *r, const struct draft *at, size_t count, size_t from, struct slice text)
{
    uint32_t offset = take(r, offsetof(struct node, text) + text.len);
    struct node made = { .best = best_of(at, count), .len = (uint16_t)text.len };
    size_t here = 0, literals = 0;
    while (here < count && at[here].key.len == from)
        here++;
    made.exact = add_entries(r, at, here, WHICH_EXACT);
    made.below = add_entries(r, at, here, WHICH_PREFIX);
    for (size_t i = here; i < count; i += group_at(at + i, count - i, from))
        literals += !is_parameter_key(segment_at(at[i].key, from));
    if (literals)
        made.children = make_children(r, literals);
    for (size_t i = here, n; i < count; i += n) {
        struct slice segment = segment_at(at[i].key, from);
        n = group_at(at + i, count - i, from);
        if (is_parameter_key(segment)) {
            made.parameter = add_node(r, at + i, n, from + 1 + segment.len, SLICE_NONE);
        } else {
            uint32_t child = add_node(r, at + i, n, from + 1 + segment.len, segment);
            put_edge(pool_at(r, made.children), slice_hash(segment), child);
        }
    }
    struct node *node = pool_at(r, offset);
    memcpy(node, &made, offsetof(struct node, text));
    if (text.len)
        memcpy(node->text, text.at, text.len);
    return offset;
}

/* The regular expressions of a host, each text once. */
static uint32_t add_patterns(struct router *r, const struct draft *at, size_t count)
{
    if (!count)
        return 0;
    struct regex_set *set = regex_set_new();
    for (size_t i = 0, n; i < count; i += n) {
        struct slice text = at[i].pair.path;
        for (n = 1; i + n < count && slice_equal(at[i + n].pair.path, text);)
            n++;
        regex_set_add(set, pattern_of(&r->path_patterns, text), slice_from(text, 1), 0, best_of(at + i, n),
                      add_entries(r, at + i, n, WHICH_ALL));
    }
    regex_set_seal(set);
    if (!(r->set_count & (r->set_count - 1)))
        r->sets = need(realloc(r->sets, (r->set_count ? 2 * (size_t)r->set_count : 1) * sizeof(*r->sets)));
    r->sets[r->set_count++] = set;
    return r->set_count;
}

static uint32_t add_tree(struct router *r, const struct draft *at, size_t count, struct slice name)
{
    uint32_t offset = take(r, sizeof(struct tree) + name.len);
    struct tree made = { .len = (uint32_t)name.len };
    size_t paths = 0, patterns = 0;
    while (paths < count && part_of(&at[paths]) == 0)
        paths++;
    while (paths + patterns < count && part_of(&at[paths + patterns]) == 1)
        patterns++;
    if (paths)
        made.root = add_node(r, at, paths, 0, SLICE_NONE);
    made.any = add_entries(r, at + paths + patterns, count - paths - patterns, WHICH_ALL);
    made.patterns = add_patterns(r, at + paths, patterns);
    struct tree *tree = pool_at(r, offset);
    memcpy(tree, &made, sizeof made);
    if (name.len)
        memcpy(tree->name, name.at, name.len);
    return offset;
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
        r->any_tree = add_tree(r, at, count, SLICE_NONE);
        r->any_best = best;
        return;
    }
    if (at->host == HOST_REGEX) {
        if (!r->hosts)
            r->hosts = regex_set_new();
        regex_set_add(r->hosts, pattern_of(&r->host_patterns, name), slice_from(name, 1), REGEX_NOCASE, best,
                      add_tree(r, at, count, SLICE_NONE));
        return;
    }
    if (at->host == HOST_WILDCARD) {
        name = slice_from(name, 1);
        r->wildcard_dots |= dots_bit(name);
    }
    put_slot(r, (struct slot){ slice_hash(name), add_tree(r, at, count, name), best });
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
        d->key = d->path == PATH_REGEX ? d->pair.path : d->path == PATH_ANY ? SLICE_NONE : make_key(d->pair.path, &at);
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
    r->pool = need(realloc(r->pool, r->pool_bytes));
    r->pool_cap = r->pool_bytes;
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
                   map_bytes(&r->path_patterns) + (r->slots ? ((size_t)r->slot_mask + 1) * sizeof *r->slots : 0);
    for (uint32_t i = 0; i < r->set_count; i++)
        bytes += sizeof *r->sets + regex_set_bytes(r->sets[i]);
    return bytes + (r->hosts ? regex_set_bytes(r->hosts) : 0);
}
