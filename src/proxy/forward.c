#include "proxy/forward.h"

#include "http/h1_write.h"


/* Fields of one connection only. Connection, Upgrade and the framing fields were taken out by the frontend. */
static bool is_hop_by_hop(unsigned id)
{
    switch (id) {
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_UPGRADE: return true;
    default: return false;
    }
}

/* What Connection names goes too; but nobody may make us drop a field that we or the framing rely on. */
static void skip_named(struct headers *headers, struct slice connection)
{
    struct slice token;
    while (slice_next_member(&connection, &token)) {
        enum header_id id = header_id_of(token);
        for (uint32_t i = 0; i < headers->count; i++) {
            struct header *h = &headers->at[i];
            if (id == HEADER_UNKNOWN ? slice_equal_nocase(h->name, token) : is_hop_by_hop(id) && h->id == id)
                h->skip = true;
        }
    }
}

static void skip_hop_by_hop(struct headers *headers)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        struct header *h = &headers->at[i];
        if (h->id == HEADER_CONNECTION)
            skip_named(headers, h->value);
        h->skip |= is_hop_by_hop(h->id);
    }
}

static void skip_all(struct headers *headers, enum header_id id)
{
    if (!headers->first[id])
        return;
    for (uint32_t i = headers->first[id] - 1u; i < headers->count; i++)
        headers->at[i].skip |= headers->at[i].id == id;
}

static void add(struct exchange *x, enum header_id id, struct slice value)
{
    headers_add(&x->req.headers, &x->req.arena, id, header_name(id), value);
}

static bool is_decent_id(struct slice id)
{
    if (id.len == 0 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!header_token_table[(unsigned char)id.at[i]] && !strchr("=/:,@", id.at[i]))
            return false;
    return true;
}

static const struct header *find_named(const struct headers *headers, enum header_id id, struct slice name)
{
    if (id != HEADER_UNKNOWN)
        return headers_get(headers, id);
    for (uint32_t i = 0; i < headers->count; i++)
        if (slice_equal_nocase(headers->at[i].name, name))
            return &headers->at[i];
    return NULL;
}

static const struct header *id_field(const struct exchange *x)
{
    return find_named(&x->req.headers, x->generation->id_header, x->generation->gateway.id_header);
}

void forward_make_id(struct exchange *x)
{
    const struct header *sent = id_field(x);
    if (sent && is_decent_id(sent->value)) {
        x->id = sent->value;
        return;
    }
    char *id = arena_alloc(&x->req.arena, 32);
    uint64_t n = x->plane->id_next++;
    memcpy(id, x->plane->id_prefix, 16);
    for (int i = 31; i >= 16; i--, n >>= 4)
        id[i] = "0123456789abcdef"[n & 15];
    x->id = slice_make(id, 32);
}

void forward_find_client(struct exchange *x)
{
    x->client = x->req.peer;
    if (x->generation->trusted_count == 0 || !generation_trusts(x->generation, &x->req.peer))
        return;
    /* From the right: each trusted proxy appended whom it saw. */
    for (uint32_t i = x->req.headers.count; i-- > 0;) {
        struct slice list = x->req.headers.at[i].value;
        if (x->req.headers.at[i].id != HEADER_X_FORWARDED_FOR)
            continue;
        while (list.len) {
            size_t start = list.len;
            while (start && list.at[start - 1] != ',')
                start--;
            struct slice word = slice_trim(slice_from(list, start));
            struct peer p;
            if (!peer_parse(word, &p))
                return;
            x->client = p;
            if (!generation_trusts(x->generation, &p))
                return;
            list.len = start ? start - 1 : 0;
        }
    }
}

/* before (when believed) and value, joined as list members. */
static struct slice joined(struct exchange *x, struct slice before, struct slice value)
{
    if (!before.len)
        return value;
    char *at = arena_alloc(&x->req.arena, before.len + 2 + value.len);
    memcpy(at, before.at, before.len);
    memcpy(at + before.len, ", ", 2);
    memcpy(at + before.len + 2, value.at, value.len);
    return slice_make(at, before.len + 2 + value.len);
}

/* All fields of a name as one list, or nothing. */
static struct slice whole_list(struct exchange *x, enum header_id id)
{
    struct slice list = SLICE_NONE;
    struct headers *headers = &x->req.headers;
    if (!headers->first[id])
        return list;
    for (uint32_t i = headers->first[id] - 1u; i < headers->count; i++)
        if (headers->at[i].id == id)
            list = joined(x, list, headers->at[i].value);
    return list;
}

static struct slice forwarded_element(struct exchange *x, struct slice ip, struct slice scheme)
{
    struct request *r = &x->req;
    char *at = arena_alloc(&r->arena, 64 + ip.len + r->authority.len);
    struct out o = { at, at + 64 + ip.len + r->authority.len, false };
    bool v6 = r->peer.family == AF_INET6;
    out_put(&o, v6 ? SLICE_OF("for=\"[") : SLICE_OF("for="));
    out_put(&o, ip);
    out_put(&o, v6 ? SLICE_OF("]\"") : SLICE_NONE);
    if (r->authority.len) {
        out_put(&o, SLICE_OF(";host=\""));
        out_put(&o, r->authority);
        out_put(&o, SLICE_OF("\""));
    }
    out_put(&o, SLICE_OF(";proto="));
    out_put(&o, scheme);
    return slice_make(at, (size_t)(o.at - at));
}

static void replace(struct exchange *x, enum header_id id, bool keep, struct slice value)
{
    if (keep && headers_get(&x->req.headers, id))
        return;
    skip_all(&x->req.headers, id);
    add(x, id, value);
}

static void add_forwarded(struct exchange *x)
{
    struct request *r = &x->req;
    bool trusted = x->generation->trusted_count && generation_trusts(x->generation, &r->peer);
    char *text = arena_alloc(&r->arena, 64);
    struct slice ip = slice_make(text, peer_print_ip(&r->peer, text));
    char *digits = text + 48;
    struct slice port = slice_make(digits, format_u64(digits, r->local_port));
    struct slice scheme = r->is_tls ? SLICE_OF("https") : SLICE_OF("http");
    struct slice for_list = trusted ? whole_list(x, HEADER_X_FORWARDED_FOR) : SLICE_NONE;
    struct slice forwarded = trusted ? whole_list(x, HEADER_FORWARDED) : SLICE_NONE;
    replace(x, HEADER_X_FORWARDED_FOR, false, joined(x, for_list, ip));
    replace(x, HEADER_X_FORWARDED_PROTO, trusted, scheme);
    if (r->authority.len)
        replace(x, HEADER_X_FORWARDED_HOST, trusted, r->authority);
    replace(x, HEADER_X_FORWARDED_PORT, trusted, port);
    replace(x, HEADER_FORWARDED, false, joined(x, forwarded, forwarded_element(x, ip, scheme)));
}

void forward_request(struct exchange *x)
{
    struct request *r = &x->req;
    skip_hop_by_hop(&r->headers);
    skip_all(&r->headers, HEADER_HOST);
    add_forwarded(x);
    add(x, HEADER_VIA, r->version == 10 ? SLICE_OF("1.0 tidegate") : SLICE_OF("1.1 tidegate"));
    const struct header *sent = id_field(x);
    if (!sent || sent->value.at != x->id.at) {
        struct slice name = x->generation->gateway.id_header;
        enum header_id id = x->generation->id_header;
        if (sent)
            ((struct header *)(uintptr_t)sent)->skip = true;
        headers_add(&r->headers, &r->arena, id, id ? header_name(id) : name, x->id);
    }
    switch ((enum host_policy)x->service->settings.host_policy) {
    case HOST_PRESERVE: r->upstream_host = r->authority; break;
    case HOST_FIXED: r->upstream_host = x->service->settings.host; break;
    case HOST_NODE: break;              /* known when the node is */
    }
}

void forward_path(struct exchange *x)
{
    const struct route_settings *s = &x->route->settings;
    struct request *r = &x->req;
    struct slice path = r->path;
    if (s->strip_prefix.len && slice_has_prefix(path, s->strip_prefix) &&
        (path.len == s->strip_prefix.len || path.at[s->strip_prefix.len] == '/'))
        path = slice_from(path, s->strip_prefix.len);
    if (!path.len)
        path = SLICE_OF("/");
    if (s->add_prefix.len) {
        char *at = arena_alloc(&r->arena, s->add_prefix.len + path.len);
        memcpy(at, s->add_prefix.at, s->add_prefix.len);
        memcpy(at + s->add_prefix.len, path.at, path.len);
        path = slice_make(at, s->add_prefix.len + path.len);
    }
    r->path = path;
}

void forward_response(struct exchange *x)
{
    struct headers *headers = &x->res.headers;
    skip_hop_by_hop(headers);
    struct slice via = SLICE_OF("1.1 tidegate");
    headers_add(headers, &x->req.arena, HEADER_VIA, header_name(HEADER_VIA), via);
}
