#include "proxy/hash_key.h"

/* Whether a piece "name=value" has that name; *value is what follows. */
static bool piece_is(struct slice piece, struct slice name, struct slice *value)
{
    if (piece.len <= name.len || piece.at[name.len] != '=' || memcmp(piece.at, name.at, name.len) != 0)
        return false;
    *value = slice_from(piece, name.len + 1);
    return true;
}

/* The value of the first "name=value" in a list; spaces around a piece do not count. */
static struct slice find_in(struct slice list, char separator, struct slice name)
{
    struct slice value = SLICE_NONE;
    while (list.len) {
        const char *end = memchr(list.at, separator, list.len);
        size_t len = end ? (size_t)(end - list.at) : list.len;
        if (piece_is(slice_trim(slice_make(list.at, len)), name, &value))
            return value;
        list = slice_from(list, end ? len + 1 : len);
    }
    return value;
}

struct slice cookie_find(const struct headers *h, struct slice name)
{
    struct slice value = SLICE_NONE;
    for (uint32_t i = h->first[HEADER_COOKIE] ? h->first[HEADER_COOKIE] - 1u : h->count; i < h->count; i++)
        if (h->at[i].id == HEADER_COOKIE && !h->at[i].skip && (value = find_in(h->at[i].value, ';', name)).at)
            return value;
    return value;
}

static struct slice header_of(const struct headers *h, struct slice name)
{
    enum header_id id = header_id_of(name);
    for (uint32_t i = 0; i < h->count; i++)
        if (!h->at[i].skip && (id ? h->at[i].id == id : slice_equal_nocase(h->at[i].name, name)))
            return h->at[i].value;
    return SLICE_NONE;
}

static struct slice key_of(const struct exchange *x)
{
    const struct service_settings *s = &x->service->settings;
    const struct slice ip = slice_make((const char *)x->client.ip, x->client.family == AF_INET ? 4 : 16);
    if (s->balance == BALANCE_IP_HASH)
        return ip;
    switch ((enum hash_by)s->hash_by) {
    case HASH_BY_CLIENT_IP: return ip;
    case HASH_BY_PATH: return x->req.path;
    case HASH_BY_HEADER: return header_of(&x->req.headers, s->hash_name);
    case HASH_BY_COOKIE: return cookie_find(&x->req.headers, s->hash_name);
    case HASH_BY_QUERY: return find_in(x->req.query, '&', s->hash_name);
    }
    return SLICE_NONE;
}

void hash_key_make(struct exchange *x)
{
    struct slice key = key_of(x);
    x->pick.has_hash = key.len > 0;
    x->pick.hash = key.len ? ring_hash(key) : 0;
}
