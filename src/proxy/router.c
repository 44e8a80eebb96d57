#include "proxy/router.h"

#include "http/request.h"
#include "proxy/router_table.h"

/* What is asked last: an entry that takes the request as far as could be told at once. */
struct doubt { const struct entry *entry; const struct regex_item *path, *host; };

enum { DOUBTS_MAX = 64, FETCH_MAX = 2048 };

struct search {
    struct router_answer *answer;
    const struct router *r;
    const struct router_query *q;
    const struct entry *won;        /* the best that surely takes it */
    uint32_t bound;                 /* its rank: only what is below it could still win */
    uint32_t count;
    bool is_refused;                /* somebody would take it, were it another method */
    bool is_allowing;               /* the second pass, which finds those */
    const struct regex_item *host, *path;       /* that the entries in hand depend on; NULL: none */
    uint32_t value_count;
    struct slice values[ROUTE_PARAMS_MAX];      /* of the parameters on the way to the entries in hand */
    struct doubt doubts[DOUBTS_MAX];            /* by rank */
};

/* -- doubts -- */

static bool holds(const struct search *s, const struct entry *e)
{
    return !(e->flags & ENTRY_CONDITIONS) || s->r->holds(e->route, s->q);
}

static bool matches(struct search *s, const struct regex_item *item, struct slice subject)
{
    if (!item)
        return true;
    enum rc rc = regex_match(item->regex, subject, NULL, 0);
    s->answer->is_undecided |= rc == RC_LIMIT;
    return rc == RC_OK;
}

/* Forgets what depends on a pattern that does not match. */
static void forget(struct search *s, const struct regex_item *item)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->doubts[i].path != item && s->doubts[i].host != item)
            s->doubts[kept++] = s->doubts[i];
    s->count = kept;
}

/* Asks in the order of ranks until one takes the request. What it learns of a pattern it keeps. */
static void settle(struct search *s)
{
    const struct regex_item *host = NULL, *path = NULL;         /* known to match */
    while (s->count && s->doubts[0].entry->rank < s->bound) {
        struct doubt d = s->doubts[0];
        if (d.host && d.host != host) {
            if (!matches(s, d.host, s->q->host)) {
                forget(s, d.host);
                continue;
            }
            host = d.host;
        }
        if (d.path && d.path != path) {
            if (!matches(s, d.path, s->q->path)) {
                forget(s, d.path);
                continue;
            }
            path = d.path;
        }
        if (holds(s, d.entry)) {
            s->won = d.entry;
            s->bound = d.entry->rank;
            s->answer->param_count = 0; /* they are not kept for doubts */
            break;
        }
        s->count--;
        memmove(s->doubts, s->doubts + 1, s->count * sizeof *s->doubts);
    }
    s->count = 0;
}

static void doubt(struct search *s, const struct entry *e)
{
    if (s->count == DOUBTS_MAX) {
        settle(s);
        if (e->rank >= s->bound)
            return;
    }
    uint32_t i = s->count++;
    for (; i > 0 && s->doubts[i - 1].entry->rank > e->rank; i--)
        s->doubts[i] = s->doubts[i - 1];
    s->doubts[i] = (struct doubt){ e, s->path, s->host };
}

/* -- entries -- */

static bool has_other(const struct router_route *route, struct slice name)
{
    for (uint32_t i = 0; i < route->other_count; i++)
        if (slice_equal(route->other_methods[i], name))
            return true;
    return false;
}

static bool takes_method(const struct entry *e, const struct router_query *q)
{
    if (!(e->methods >> q->method & 1))
        return false;
    return q->method != METHOD_OTHER || !(e->flags & ENTRY_OTHER_METHODS) || has_other(e->route, q->method_text);
}

static bool takes_listener(const struct entry *e, const struct router_query *q)
{
    return !(e->flags & ENTRY_LISTENERS) || e->route->listeners >> q->listener & 1;
}

/* Second pass: which methods would be taken, where only they are wrong. */
static void allow(struct search *s, const struct entry *e)
{
    const struct router_route *route = e->route;
    bool has_others = route->other_count > 0;
    uint32_t methods = route->methods || has_others ? route->methods : 1u << METHOD_COUNT;
    struct router_answer *answer = s->answer;
    if (takes_method(e, s->q) || !takes_listener(e, s->q) ||
        (!(methods & ~answer->allowed) && (!has_others || answer->any_other)))
        return;
    if (!matches(s, s->host, s->q->host) || !matches(s, s->path, s->q->path) || !holds(s, e))
        return;
    answer->allowed |= methods;
    answer->any_other |= has_others;
}

static void keep_values(struct search *s, const struct entry *e)
{
    s->answer->param_count = e->flags >= ENTRY_NAMES ? s->value_count : 0;
    for (uint32_t i = 0; i < s->answer->param_count; i++)
        s->answer->params[i].value = s->values[i];
}

static void consider(struct search *s, uint32_t entries)
{
    if (!entries)
        return;
    const struct entry *e = pool_at(s->r, entries);
    for (bool is_last = false; !is_last && e->rank < s->bound; e++) {
        is_last = e->flags & ENTRY_LAST;
        if (s->is_allowing) {
            allow(s, e);
        } else if (!takes_method(e, s->q)) {
            s->is_refused = true;
        } else if (!takes_listener(e, s->q)) {
            continue;
        } else if (s->path || s->host || e->flags & ENTRY_CONDITIONS) {
            doubt(s, e);
        } else {
            s->won = e;
            s->bound = e->rank;
            keep_values(s, e);
        }
    }
}

/* -- trees -- */

static bool leads_to(const struct router *r, struct edge edge, uint32_t hash, struct slice segment)
{
    if (edge.hash != hash)
        return false;
    const struct node *n = pool_at(r, edge.node);
    return n->len == segment.len && memcmp(n->text, segment.at, segment.len) == 0;
}

static uint32_t child_of(const struct router *r, const struct node *n, struct slice segment)
{
    if (!n->children)
        return 0;
    const struct children *c = pool_at(r, n->children);
    uint32_t hash = route_hash(r, segment);
    if (c->mask) {
        for (uint32_t i = hash & c->mask; c->edges[i].node; i = (i + 1) & c->mask)
            if (leads_to(r, c->edges[i], hash, segment))
                return c->edges[i].node;
        return 0;
    }
    for (uint32_t i = 0; i < c->count; i++)
        if (leads_to(r, c->edges[i], hash, segment))
            return c->edges[i].node;
    return 0;
}

/* Goes on from a node with what is left of the path. Literal segments come before parameters, so that what is found
 * first is mostly what wins; the rest is then passed over by its rank. */
static void walk(struct search *s, uint32_t place, struct slice path)
{
    uint32_t count = s->value_count;
    while (place) {
        const struct node *n = pool_at(s->r, place);
        struct slice segment;
        if (n->best >= s->bound)
            break;
        consider(s, n->below);
        if (!path_next_segment(&path, &segment)) {
            consider(s, n->exact);
            break;
        }
        place = child_of(s->r, n, segment);
        if (n->parameter && segment.len) {
            if (place)
                walk(s, place, path);   /* no deeper than a pattern has segments */
            place = n->parameter;
            if (s->value_count < ROUTE_PARAMS_MAX)
                s->values[s->value_count++] = segment;
        }
    }
    s->value_count = count;
}

static void search_patterns(struct search *s, const struct regex_set *set)
{
    struct regex_scan scan;
    regex_scan_begin(&scan, set, s->q->path);
    while ((s->path = regex_scan_next(&scan, s->bound)))
        consider(s, s->path->value);
}

static void search_tree(struct search *s, uint32_t offset)
{
    const struct tree *t = pool_at(s->r, offset);
    if (t->root && s->q->path.len && s->q->path.at[0] == '/') {
        walk(s, t->root, s->q->path);
    } else if (t->root) {               /* "/" and star stands for all, the asterisk of OPTIONS too */
        consider(s, ((const struct node *)pool_at(s->r, t->root))->below);
    }
    consider(s, t->any);
    if (t->patterns)
        search_patterns(s, s->r->sets[t->patterns - 1]);
}

/* -- hosts -- */

/* Has what belongs to a host come from memory all at once, rather than line by line as the walk gets there. */
static void fetch(const struct tree *t, size_t bytes)
{
    bytes = bytes < FETCH_MAX ? bytes : FETCH_MAX;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)t + i);
}

static void search_name(struct search *s, struct slice name)
{
    const struct router *r = s->r;
    uint32_t hash = route_hash(r, name);
    for (uint32_t i = hash & r->slot_mask; r->slots[i].tree; i = (i + 1) & r->slot_mask) {
        const struct slot *slot = &r->slots[i];
        if (slot->hash != hash || slot->best >= s->bound)
            continue;
        const struct tree *t = pool_at(r, slot->tree);
        fetch(t, slot->units * POOL_UNIT);
        if (slice_equal(slice_make(t->name, t->len), name)) {
            search_tree(s, slot->tree);
            return;
        }
    }
}

/* From the longest on. */
static void search_wildcards(struct search *s, struct slice host)
{
    unsigned dots = 0;
    for (size_t i = 0; i < host.len; i++)
        dots += host.at[i] == '.';
    for (size_t i = 0; i < host.len; i++) {
        if (host.at[i] != '.')
            continue;
        if (i > 0 && s->r->wildcard_dots >> dots % 64 & 1)
            search_name(s, slice_from(host, i));
        dots--;
    }
}

static void search_host_patterns(struct search *s)
{
    struct regex_scan scan;
    regex_scan_begin(&scan, s->r->hosts, s->q->host);
    while ((s->host = regex_scan_next(&scan, s->bound)))
        search_tree(s, s->host->value);
}

static void search_all(struct search *s)
{
    const struct router *r = s->r;
    struct slice host = s->q->host;
    if (r->slots && host.len && host.at[0] != '.')
        search_name(s, host);
    if (r->wildcard_dots)
        search_wildcards(s, host);
    if (r->hosts)
        search_host_patterns(s);
    if (r->any_tree && r->any_best < s->bound)
        search_tree(s, r->any_tree);
}

static void name_params(const struct search *s)
{
    struct router_answer *answer = s->answer;
    unsigned flags = s->won->flags;
    if (!(flags & ENTRY_PARAMETERS)) {
        answer->param_count = 0;
        return;
    }
    if (answer->param_count) {
        const struct names *names = &s->r->names[flags / ENTRY_NAMES - 1];
        for (uint32_t i = 0; i < answer->param_count; i++)
            answer->params[i].name = names->at[i];
        return;
    }
    struct slice path = s->r->pairs[s->bound].path;
    answer->param_count = path_pattern_params(path, pattern_of(&s->r->path_patterns, path), s->q->path, answer->params);
}

void router_find(const struct router *r, const struct router_query *q, struct router_answer *out)
{
    struct search s;                    /* neither is set as a whole: they are large */
    out->route = NULL;
    out->allowed = 0;
    out->any_other = out->is_undecided = false;
    out->param_count = 0;
    s.answer = out;
    s.r = r;
    s.q = q;
    s.won = NULL;
    s.bound = UINT32_MAX;
    s.count = s.value_count = 0;
    s.is_refused = s.is_allowing = false;
    s.host = s.path = NULL;
    search_all(&s);
    if (s.count)
        settle(&s);
    if (s.won) {
        out->route = s.won->route;
        name_params(&s);
    } else if (s.is_refused) {
        s.is_allowing = true;
        search_all(&s);
    }
}
