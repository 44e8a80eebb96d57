#include "proxy/hash_key.h"

#include "http/cookie.h"
#include "http/query.h"

static struct slice cookie_of(const struct exchange *x, struct slice name)
{
    struct slice value = SLICE_NONE;
    return cookie_of_request(&x->req, name, &value) ? value : SLICE_NONE;
}

static struct slice argument_of(struct exchange *x, struct slice name)
{
    struct query q = { 0 };
    if (!x->req.query.len || query_parse(x->req.query, &x->req.arena, &q) != RC_OK)
        return SLICE_NONE;
    const struct argument *found = query_find(&q, name);
    return found ? found->value : SLICE_NONE;
}

static struct slice header_of(const struct headers *h, struct slice name)
{
    enum header_id id = header_id_of(name);
    for (uint32_t i = 0; i < h->count; i++)
        if (!h->at[i].skip && (id ? h->at[i].id == id : slice_equal_nocase(h->at[i].name, name)))
            return h->at[i].value;
    return SLICE_NONE;
}

static struct slice key_of(struct exchange *x)
{
    const struct service_settings *s = &x->service->settings;
    const struct slice ip = slice_make((const char *)x->client.ip, x->client.family == AF_INET ? 4 : 16);
    if (s->balance == BALANCE_IP_HASH)
        return ip;
    switch ((enum hash_by)s->hash_by) {
    case HASH_BY_CLIENT_IP: return ip;
    case HASH_BY_PATH: return x->req.path;
    case HASH_BY_HEADER: return header_of(&x->req.headers, s->hash_name);
    case HASH_BY_COOKIE: return cookie_of(x, s->hash_name);
    case HASH_BY_QUERY: return argument_of(x, s->hash_name);
    }
    return SLICE_NONE;
}

void hash_key_make(struct exchange *x)
{
    struct slice key = key_of(x);
    x->pick.has_hash = key.len > 0;
    x->pick.hash = key.len ? ring_hash(key) : 0;
}
