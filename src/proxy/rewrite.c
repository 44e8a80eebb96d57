#include "proxy/rewrite.h"

#include <stdio.h>

#include "http/url.h"

enum { PARTS_MAX = 64, RESULT_MAX = 64 * 1024 };

struct part { struct slice text; int group; };          /* group -1: the text */
struct parts { struct part *at; uint32_t count; };

struct rewrite {
    struct regex *match;
    struct parts path, query;
    bool has_query;
};

/* -- building -- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int group_named(const struct regex *r, struct slice name)
{
    uint64_t number;
    if (slice_to_u64(name, REGEX_GROUPS_MAX, &number))
        return number <= regex_groups(r) ? (int)number : -1;
    for (uint32_t i = 1; name.len && i <= regex_groups(r); i++)
        if (slice_equal(regex_group_name(r, i), name))
            return (int)i;
    return -1;
}

/* What stands behind a dollar, with its length; false where it means nothing. "$$" is a text. */
static bool take_dollar(const struct regex *r, struct slice to, struct part *out, size_t *len)
{
    out->text = SLICE_OF("$");
    out->group = -1;
    *len = 2;
    if (to.len < 2)
        return false;
    if (to.at[1] == '$')
        return true;
    struct slice name = slice_make(to.at + 1, is_digit(to.at[1]) ? 1 : 0);
    if (to.at[1] == '{') {
        const char *end = memchr(to.at, '}', to.len);
        if (!end)
            return false;
        *len = (size_t)(end - to.at) + 1;
        name = slice_make(to.at + 2, *len - 3);
    }
    out->group = group_named(r, name);
    return out->group >= 0;
}

static size_t text_length(struct slice to)
{
    const char *dollar = memchr(to.at, '$', to.len);
    return dollar ? (size_t)(dollar - to.at) : to.len;
}

static bool parse(const struct regex *r, struct arena *a, struct slice to, struct parts *out, char *why, size_t size)
{
    out->at = arena_zero(a, PARTS_MAX * sizeof *out->at);
    while (to.len) {
        size_t len = text_length(to);
        if (out->count == PARTS_MAX) {
            snprintf(why, size, "expected at most %d groups and texts between them, found more", PARTS_MAX);
            return false;
        }
        struct part *p = &out->at[out->count++];
        *p = (struct part){ arena_copy(a, slice_make(to.at, len)), -1 };
        if (!len && !take_dollar(r, to, p, &len)) {
            snprintf(why, size, "`match` has %u groups: expected $0 (all of it), the $number or ${name} of one, or $$, "
                     "found \"%.*s\"", regex_groups(r), (int)(to.len < 20 ? to.len : 20), to.at);
            return false;
        }
        to = slice_from(to, len);
    }
    return true;
}

struct rewrite *rewrite_new(struct arena *a, struct slice match, struct slice to, bool *in_match, char *why,
                            size_t size)
{
    struct rewrite *w = arena_zero(a, sizeof *w);
    struct regex_error e;
    *in_match = regex_compile(match, 0, &w->match, &e) != RC_OK;
    if (*in_match) {
        snprintf(why, size, "%s", e.text);
        return NULL;
    }
    const char *mark = to.len ? memchr(to.at, '?', to.len) : NULL;
    struct slice path = mark ? slice_make(to.at, (size_t)(mark - to.at)) : to;
    w->has_query = mark != NULL;
    if (parse(w->match, a, path, &w->path, why, size) &&
        (!mark || parse(w->match, a, slice_from(to, path.len + 1), &w->query, why, size)))
        return w;
    rewrite_free(w);
    return NULL;
}

void rewrite_free(struct rewrite *w) { regex_free(w->match); }

/* -- applying -- */

struct writer {
    char *at, *end;
    bool is_full;
};

static void put(struct writer *o, struct slice s)
{
    if ((size_t)(o->end - o->at) < s.len) {
        o->is_full = true;
        return;
    }
    if (s.len)
        memcpy(o->at, s.at, s.len);
    o->at += s.len;
}

/* In a query a group stays one value, whatever a client has put into its path. */
static void put_value(struct writer *o, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.at[i]) {
        case '&': put(o, SLICE_OF("%26")); break;
        case '=': put(o, SLICE_OF("%3D")); break;
        case '+': put(o, SLICE_OF("%2B")); break;
        case ';': put(o, SLICE_OF("%3B")); break;
        default: put(o, slice_make(s.at + i, 1));
        }
    }
}

static void put_parts(struct writer *o, const struct parts *parts, const struct slice *groups, bool in_query)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        const struct part *p = &parts->at[i];
        if (p->group < 0)
            put(o, p->text);
        else if (in_query)
            put_value(o, groups[p->group]);
        else
            put(o, groups[p->group]);
    }
}

/* Bytes that are enough for the parts; an escaped one takes three. */
static size_t bytes_of(const struct parts *parts, const struct slice *groups)
{
    size_t n = 0;
    for (uint32_t i = 0; i < parts->count; i++)
        n += parts->at[i].group < 0 ? parts->at[i].text.len : 3 * groups[parts->at[i].group].len;
    return n;
}

static struct slice written(const char *from, const struct writer *o)
{
    return slice_make(from, (size_t)(o->at - from));
}

static enum rc change(const struct rewrite *w, struct request *r, const struct slice *groups)
{
    size_t size = 1 + r->path.len + bytes_of(&w->path, groups) + bytes_of(&w->query, groups);
    if (size > RESULT_MAX)
        return RC_URI_LIMIT;
    char *path = arena_alloc(&r->arena, size + 1);
    struct writer o = { path + 1, path + 1 + size, false };
    put(&o, slice_make(r->path.at, (size_t)(groups[0].at - r->path.at)));
    put_parts(&o, &w->path, groups, false);
    put(&o, slice_make(slice_end(groups[0]), (size_t)(slice_end(r->path) - slice_end(groups[0]))));
    path[0] = '/';
    bool has_slash = o.at > path + 1 && path[1] == '/';
    struct slice made = written(path + has_slash, &o);
    const char *query = o.at;
    put_parts(&o, &w->query, groups, true);
    if (w->has_query)
        r->query = o.at > query ? written(query, &o) : SLICE_NONE;
    return o.is_full ? RC_URI_LIMIT : url_normalise(made, r->security->merge_slashes, &r->arena, &r->path);
}

enum rc rewrite_apply(const struct rewrite *w, struct request *r)
{
    struct slice groups[REGEX_GROUPS_MAX + 1];
    if (r->path.at[0] != '/')           /* the asterisk of OPTIONS */
        return RC_OK;
    switch (regex_match(w->match, r->path, groups, REGEX_GROUPS_MAX + 1)) {
    case RC_OK: return change(w, r, groups);
    case RC_LIMIT: return RC_UNDECIDED;
    default: return RC_OK;
    }
}
