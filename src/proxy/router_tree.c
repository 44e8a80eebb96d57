#include "proxy/router_tree.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "http/request.h"

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

struct slice tree_key(struct slice path, char **to)
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

/* A large pool goes to pages of its own, large ones where the system has them: a look-up must not miss the page table
 * as well. */
void tree_settle(struct router *r)
{
    size_t page = (size_t)2 << 20;
    if (r->pool_bytes < page) {
        r->pool = need(realloc(r->pool, r->pool_bytes));
        r->pool_cap = r->pool_bytes;
        return;
    }
    r->pool_cap = (r->pool_bytes + page - 1) / page * page;
    char *pool = need(aligned_alloc(page, r->pool_cap));
    (void)madvise(pool, r->pool_cap, MADV_HUGEPAGE);    /* without them it is only slower */
    memcpy(pool, r->pool, r->pool_bytes);
    free(r->pool);
    r->pool = pool;
}

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

/* The number of the names of the parameters of a path; 0: none, or no room for them. */
static unsigned names_of(struct router *r, struct slice path)
{
    struct names n = { 0 };
    struct slice rest = path_pattern_stem(path), segment;
    while (path_next_segment(&rest, &segment))
        if (segment_is_parameter(segment) && n.count < ROUTE_PARAMS_MAX)
            n.at[n.count++] = slice_make(segment.at + 1, segment.len - 2);
    for (uint32_t i = 0; i < r->names_count; i++) {
        uint32_t same = 0;
        while (same < n.count && n.count == r->names[i].count && slice_equal(n.at[same], r->names[i].at[same]))
            same++;
        if (n.count == r->names[i].count && same == n.count)
            return i + 1;
    }
    if (r->names_count == NAMES_MAX)
        return 0;
    if (!(r->names_count & (r->names_count - 1)))
        r->names = need(realloc(r->names, (r->names_count ? 2 * (size_t)r->names_count : 1) * sizeof *r->names));
    r->names[r->names_count++] = n;
    return r->names_count;
}

static struct entry make_entry(struct router *r, const struct draft *d)
{
    const struct router_route *route = d->pair.route;
    unsigned flags = (route->listeners ? ENTRY_LISTENERS : 0u) | (route->conditions ? ENTRY_CONDITIONS : 0u) |
                     (route->other_count ? ENTRY_OTHER_METHODS : 0u);
    if (has_parameters(r, d->pair.path))
        flags |= ENTRY_PARAMETERS | (d->path == PATH_REGEX ? 0 : ENTRY_NAMES * names_of(r, d->pair.path));
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
            put_edge(pool_at(r, made.children), route_hash(r, segment), child);
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

uint32_t tree_add(struct router *r, const struct draft *at, size_t count, struct slice name)
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
