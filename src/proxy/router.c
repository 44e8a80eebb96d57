#include "proxy/router.h"

#include <stdlib.h>

#include "http/request.h"

struct entry {                      /* one (host, path) pair of a route; its index is its rank */
    const struct router_route *route;
    uint32_t next;                  /* 1 + index of the next in the same list, of a higher rank */
};

struct pair { const struct router_route *route; struct slice host, path; };     /* an entry while the table is built */

/* The entries of a place: 1 + index of the first that ends here, and of the first that covers all below. In a root,
 * exact are the entries without a path. */
struct lists { uint32_t exact, prefix; };

enum { INLINE_SEGMENT = 28 };

/* A path segment below another place. All that a search needs of it lies in one cache line, short text included: with
 * many thousands of routes each line is a miss. */
struct edge {
    _Alignas(64) uint32_t hash;
    uint32_t parent, place;         /* numbers of places; place 0: a free slot */
    uint32_t len;
    struct lists lists;
    const char *text;               /* of a segment over INLINE_SEGMENT bytes */
    char inline_text[INLINE_SEGMENT];
};
_Static_assert(sizeof(struct edge) == 64, "one line");

struct host {                       /* the root of a host's paths */
    struct slice name;
    uint32_t hash, place;
    struct lists lists;
};

struct router {
    router_holds_fn *holds;
    struct entry *entries;          /* in the order of ranks, after router_seal */
    struct pair *pairs;             /* until router_seal */
    struct edge *edges;             /* open addressing */
    struct host *hosts;             /* open addressing; name.at NULL: free */
    struct host any_host;           /* of the routes without a host; place 0: none */
    uint32_t entry_count, place_count, edge_cap, edge_count, host_cap, host_count;
    bool wildcards;
};

enum host_class { HOST_EXACT, HOST_WILDCARD, HOST_ANY };
enum path_class { PATH_EXACT, PATH_PREFIX, PATH_ANY };

static void *grow(void *at, uint32_t count, size_t size)
{
    if (count & (count - 1))
        return at;
    at = realloc(at, (count ? 2 * (size_t)count : 1) * size);
    if (!at)
        abort();
    return at;
}

struct router *router_new(router_holds_fn *holds)
{
    struct router *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->holds = holds;
    r->place_count = 1;             /* place 0 means "none" */
    return r;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    free(r->entries);
    free(r->pairs);
    free(r->edges);
    free(r->hosts);
    free(r);
}

void router_add(struct router *r, struct slice host, struct slice path, const struct router_route *route)
{
    r->pairs = grow(r->pairs, r->entry_count, sizeof *r->pairs);
    r->pairs[r->entry_count++] = (struct pair){ route, host, path };
}

/* -- building -- */

static enum host_class host_class_of(struct slice host)
{
    return !host.len ? HOST_ANY : slice_has_prefix(host, SLICE_OF("*.")) ? HOST_WILDCARD : HOST_EXACT;
}

/* The prefix pattern without its star; "/a/" + "*" becomes "/a", and "/" + "*" becomes "". */
static enum path_class path_class_of(struct slice *path)
{
    if (!path->len)
        return PATH_ANY;
    size_t stars = 0;
    while (stars < path->len && path->at[path->len - 1 - stars] == '*')
        stars++;
    if (!stars)
        return PATH_EXACT;
    path->len -= stars + 1;
    return PATH_PREFIX;
}

static int order_of(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static unsigned conditions(const struct router_route *route)
{
    return route->conditions + (route->methods || route->other_count ? 1u : 0) + (route->listeners ? 1u : 0);
}

/* Who wins, first difference decides: priority, host class, longer wildcard, path class, longer prefix, number of
 * further conditions, order in the file. */
static int compare(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    struct slice path_a = a->path, path_b = b->path;
    enum host_class host_a = host_class_of(a->host), host_b = host_class_of(b->host);
    enum path_class class_a = path_class_of(&path_a), class_b = path_class_of(&path_b);
    int d = a->route->priority == b->route->priority ? 0 : a->route->priority > b->route->priority ? -1 : 1;
    if (!d)
        d = order_of(host_a, host_b);
    if (!d && host_a == HOST_WILDCARD)
        d = order_of(b->host.len, a->host.len);
    if (!d)
        d = order_of(class_a, class_b);
    if (!d && class_a == PATH_PREFIX)
        d = order_of(path_b.len, path_a.len);
    if (!d)
        d = order_of(conditions(b->route), conditions(a->route));
    return d ? d : order_of(a->route->order, b->route->order);
}

static const char *text_of(const struct edge *e) { return e->len > INLINE_SEGMENT ? e->text : e->inline_text; }

static struct edge *find_edge(const struct router *r, uint32_t parent, uint32_t hash, struct slice segment)
{
    uint32_t i = hash & (r->edge_cap - 1);
    for (;; i = (i + 1) & (r->edge_cap - 1)) {
        struct edge *e = &r->edges[i];
        if (!e->place || (e->hash == hash && e->parent == parent && e->len == segment.len &&
                          memcmp(text_of(e), segment.at, segment.len) == 0))
            return e;
    }
}

static uint32_t edge_hash(uint32_t parent, struct slice segment) { return hash_mix(slice_hash(segment), parent); }

static void grow_edges(struct router *r)
{
    struct edge *old = r->edges;
    uint32_t old_cap = r->edge_cap;
    r->edge_cap = old_cap ? old_cap * 2 : 64;
    r->edges = aligned_alloc(64, r->edge_cap * sizeof *r->edges);
    if (!r->edges)
        abort();
    memset(r->edges, 0, r->edge_cap * sizeof *r->edges);
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].place)
            *find_edge(r, old[i].parent, old[i].hash, slice_make(text_of(&old[i]), old[i].len)) = old[i];
    free(old);
}

static struct edge *child_of(struct router *r, uint32_t parent, struct slice segment)
{
    if ((r->edge_count + 1) * 4 > r->edge_cap * 3)
        grow_edges(r);
    uint32_t hash = edge_hash(parent, segment);
    struct edge *e = find_edge(r, parent, hash, segment);
    if (!e->place) {
        *e = (struct edge){ .hash = hash, .parent = parent, .place = r->place_count++, .len = (uint32_t)segment.len,
                            .text = segment.at };
        if (segment.len && segment.len <= INLINE_SEGMENT)
            memcpy(e->inline_text, segment.at, segment.len);
        r->edge_count++;
    }
    return e;
}

static struct host *find_host(const struct router *r, uint32_t hash, struct slice name)
{
    uint32_t i = hash & (r->host_cap - 1);
    while (r->hosts[i].name.at && !(r->hosts[i].hash == hash && slice_equal(r->hosts[i].name, name)))
        i = (i + 1) & (r->host_cap - 1);
    return &r->hosts[i];
}

static void grow_hosts(struct router *r)
{
    struct host *old = r->hosts;
    uint32_t old_cap = r->host_cap;
    r->host_cap = old_cap ? old_cap * 2 : 64;
    r->hosts = calloc(r->host_cap, sizeof *r->hosts);
    if (!r->hosts)
        abort();
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].name.at)
            *find_host(r, old[i].hash, old[i].name) = old[i];
    free(old);
}

/* Wildcards are kept as ".example.com", which no exact name can be. */
static struct host *root_of(struct router *r, struct slice name)
{
    enum host_class class = host_class_of(name);
    if (class == HOST_ANY) {
        if (!r->any_host.place)
            r->any_host.place = r->place_count++;
        return &r->any_host;
    }
    if (class == HOST_WILDCARD) {
        name = slice_from(name, 1);
        r->wildcards = true;
    }
    if ((r->host_count + 1) * 2 > r->host_cap)
        grow_hosts(r);
    uint32_t hash = slice_hash(name);
    struct host *h = find_host(r, hash, name);
    if (!h->name.at) {
        *h = (struct host){ .name = name, .hash = hash, .place = r->place_count++ };
        r->host_count++;
    }
    return h;
}

/* The next segment of a path whose first slash is at its front. */
static bool next_segment(struct slice *path, struct slice *segment)
{
    if (!path->len)
        return false;
    const char *start = path->at + 1;
    const char *slash = memchr(start, '/', path->len - 1);
    *segment = slice_make(start, slash ? (size_t)(slash - start) : path->len - 1);
    *path = slice_from(*path, segment->len + 1);
    return true;
}

static void link_entry(struct router *r, uint32_t index)
{
    const struct pair *pair = &r->pairs[index];
    struct slice path = pair->path, segment;
    enum path_class class = path_class_of(&path);
    struct host *root = root_of(r, pair->host);
    struct lists *lists = &root->lists;
    uint32_t place = root->place;
    while (class != PATH_ANY && next_segment(&path, &segment)) {
        struct edge *e = child_of(r, place, segment);
        place = e->place;
        lists = &e->lists;
    }
    uint32_t *list = class != PATH_PREFIX ? &lists->exact : &lists->prefix;
    r->entries[index] = (struct entry){ pair->route, *list };
    *list = index + 1;
}

void router_seal(struct router *r)
{
    if (!r->entry_count)
        return;
    r->entries = calloc(r->entry_count, sizeof *r->entries);
    if (!r->entries)
        abort();
    qsort(r->pairs, r->entry_count, sizeof *r->pairs, compare);
    for (uint32_t i = r->entry_count; i-- > 0;)         /* backwards: each list ends up in the order of ranks */
        link_entry(r, i);
    free(r->pairs);
    r->pairs = NULL;
}

/* -- searching -- */

struct search {
    const struct router_query *query;
    uint32_t best;                  /* 1 + rank; 0: none yet */
    struct router_answer answer;
};

static bool has_method(const struct router_route *route, const struct router_query *q)
{
    if (!route->methods && !route->other_count)
        return q->method != METHOD_TRACE;
    if (q->method != METHOD_OTHER)
        return route->methods >> q->method & 1;
    for (uint32_t i = 0; i < route->other_count; i++)
        if (slice_equal(route->other_methods[i], q->method_text))
            return true;
    return false;
}

/* All but the method. */
static bool takes(const struct router *r, const struct router_route *route, const struct router_query *q)
{
    return (!route->listeners || route->listeners >> q->listener & 1) && (!route->conditions || r->holds(route, q));
}

static void consider(const struct router *r, struct search *s, uint32_t list)
{
    while (list) {
        const struct entry *e = &r->entries[list - 1];
        if (s->best && list > s->best)
            return;
        if (takes(r, e->route, s->query)) {
            if (has_method(e->route, s->query)) {
                s->best = list;
                return;
            }
            s->answer.allowed |= e->route->methods ? e->route->methods : 1u << METHOD_COUNT;
            s->answer.any_other |= e->route->other_count > 0;
        }
        list = e->next;
    }
}

static void walk(const struct router *r, struct search *s, const struct host *root)
{
    struct slice path = s->query->path, segment;
    uint32_t place = root->place;
    consider(r, s, root->lists.exact);
    consider(r, s, root->lists.prefix);     /* "/" and star stands for all, the asterisk of OPTIONS too */
    if (!r->edge_cap || !path.len || path.at[0] != '/')
        return;
    while (next_segment(&path, &segment)) {
        const struct edge *e = find_edge(r, place, edge_hash(place, segment), segment);
        place = e->place;
        if (!place)
            return;
        consider(r, s, e->lists.prefix);
        if (!path.len)
            consider(r, s, e->lists.exact);
    }
}

struct router_answer router_find(const struct router *r, const struct router_query *q)
{
    struct search s = { .query = q };
    if (r->host_cap && q->host.len) {
        const struct host *h = find_host(r, slice_hash(q->host), q->host);
        if (h->name.at && q->host.at[0] != '.')
            walk(r, &s, h);
        for (size_t i = 1; r->wildcards && i < q->host.len; i++) {
            struct slice suffix = slice_from(q->host, i);
            if (suffix.at[0] != '.')
                continue;
            h = find_host(r, slice_hash(suffix), suffix);
            if (h->name.at)
                walk(r, &s, h);
        }
    }
    if (r->any_host.place)
        walk(r, &s, &r->any_host);
    s.answer.route = s.best ? r->entries[s.best - 1].route : NULL;
    return s.answer;
}
