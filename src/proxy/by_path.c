#include "proxy/by_path.h"

struct by_path *by_path_new(struct arena *a, uint32_t segment, uint32_t count)
{
    struct by_path *l = arena_zero(a, sizeof *l);
    l->segment = segment;
    for (l->cap = 2; l->cap < 2 * count;)
        l->cap *= 2;
    l->shares = arena_zero(a, l->cap * sizeof *l->shares);
    l->names = arena_zero(a, l->cap * sizeof *l->names);
    return l;
}

/* Where the name is, or would be. */
static uint32_t place_of(const struct by_path *l, struct slice name)
{
    uint32_t i = slice_hash(name) & (l->cap - 1);
    while (l->names[i].at && !slice_equal(l->names[i], name))
        i = (i + 1) & (l->cap - 1);
    return i;
}

struct share *by_path_add(struct by_path *l, struct service_slot *service, struct slice name, bool is_fallback)
{
    uint32_t i = place_of(l, name);
    l->names[i] = name;
    l->shares[i].service = service;
    if (is_fallback)
        l->fallback = &l->shares[i];
    return &l->shares[i];
}

struct slice by_path_name(const struct by_path *l, struct slice path)
{
    for (uint32_t n = 0; path.len && path.at[0] == '/'; n++) {
        path = slice_from(path, 1);
        const char *slash = path.len ? memchr(path.at, '/', path.len) : NULL;
        struct slice segment = slice_make(path.at, slash ? (size_t)(slash - path.at) : path.len);
        if (n + 1 == l->segment)
            return segment;
        path = slice_from(path, segment.len);
    }
    return SLICE_OF("");
}

const struct share *by_path_find(const struct by_path *l, struct slice path)
{
    struct slice name = by_path_name(l, path);
    if (!name.len)
        return l->fallback;
    uint32_t i = place_of(l, name);
    return l->names[i].at ? &l->shares[i] : NULL;
}
