#include "proxy/handshake.h"

#include "proxy/websocket.h"

enum { OFFERS_MAX = 4096 };     /* bytes of Sec-WebSocket-Extensions that go on */

static const struct slice key_name = SLICE("sec-websocket-key");
static const struct slice accept_name = SLICE("sec-websocket-accept");
static const struct slice version_name = SLICE("sec-websocket-version");
static const struct slice protocol_name = SLICE("sec-websocket-protocol");
static const struct slice extensions_name = SLICE("sec-websocket-extensions");

/* Plugins look at its messages, or send their own. */
static bool has_messages(const struct exchange *x)
{
    return x->hooks & (HOOK_BIT(HOOK_MESSAGE) | HOOK_BIT(HOOK_WS_OPEN));
}

bool handshake_is_asked(const struct request *r)
{
    return r->wants_upgrade && slice_list_has(headers_value(&r->headers, HEADER_UPGRADE), SLICE_OF("websocket"));
}

/* The only field of that name; *count: how many there are. */
static struct slice field(const struct headers *h, struct slice name, unsigned *count)
{
    struct slice value = SLICE_NONE;
    *count = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct header *f = &h->at[i];
        if (!f->removed && f->id == HEADER_UNKNOWN && slice_equal_nocase(f->name, name) && (*count)++ == 0)
            value = f->value;
    }
    return value;
}

static enum rc refuse(enum rc rc, const char **why, const char *text)
{
    *why = text;
    return rc;
}

/* A request without an Origin comes from no page: RFC 6455 section 10.2. */
static bool origin_is_let_in(const struct websocket_rules *w, const struct request *r)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < r->headers.count; i++)
        count += r->headers.at[i].id == HEADER_ORIGIN && !r->headers.at[i].removed;
    if (count == 0 || !w->origins)
        return true;
    return count == 1 && websocket_rules_let_in(w, headers_value(&r->headers, HEADER_ORIGIN));
}

static struct header *named(struct headers *h, struct slice name, uint32_t from)
{
    for (uint32_t i = from; i < h->count; i++)
        if (!h->at[i].removed && h->at[i].id == HEADER_UNKNOWN && slice_equal_nocase(h->at[i].name, name))
            return &h->at[i];
    return NULL;
}

/* Who looks at frames has to understand them: of all extensions the upstream is asked for the one that we know. */
static enum rc offer_what_we_know(struct exchange *x)
{
    struct headers *h = &x->req.headers;
    struct buf list;
    struct header *f;
    enum rc rc = RC_OK;
    buf_init(&list, OFFERS_MAX);
    for (uint32_t i = 0; rc == RC_OK && (f = named(h, extensions_name, i)); i = (uint32_t)(f - h->at) + 1) {
        f->skip = true;
        rc = ws_offers_append(&list, f->value, has_messages(x), &x->websocket->offered_bits);
    }
    x->websocket->offered = buf_len(&list) > 0;
    if (rc == RC_OK && buf_len(&list))
        headers_add(h, &x->req.arena, HEADER_UNKNOWN, SLICE_OF("Sec-WebSocket-Extensions"),
                    arena_copy(&x->req.arena, buf_slice(&list)));
    buf_reset(&list);
    return rc == RC_OK ? RC_OK : RC_HANDSHAKE;
}

/* The answer to that; the client has to compress each message by itself where somebody looks at them. */
static enum rc take_terms(struct exchange *x)
{
    struct websocket *w = x->websocket;
    unsigned count;
    struct header *f = named(&x->res.headers, extensions_name, 0);
    if (!f)
        return RC_OK;
    (void)field(&x->res.headers, extensions_name, &count);
    enum rc rc = count > 1 ? RC_MALFORMED : ws_answer_parse(f->value, w->offered_bits, &w->terms);
    if (rc == RC_END)
        return RC_OK;
    if (rc != RC_OK || !w->offered || (has_messages(x) && !w->terms.server_no_takeover))
        return RC_UPSTREAM_BAD;
    w->rules.deflate = true;
    if (has_messages(x) && !w->terms.client_no_takeover) {
        char *text = arena_alloc(&x->req.arena, WS_TERMS_MAX);
        w->terms.client_no_takeover = true;
        f->value = slice_make(text, ws_terms_write(text, &w->terms));
        f->line = LINE_NONE;
    }
    return RC_OK;
}

enum rc handshake_check_request(struct exchange *x, const char **why)
{
    struct request *r = &x->req;
    const struct websocket_rules *w = x->route ? x->route->websocket : NULL;
    unsigned keys, versions;
    struct slice key = field(&r->headers, key_name, &keys), version = field(&r->headers, version_name, &versions);
    if (r->method != METHOD_GET)
        return refuse(RC_HANDSHAKE, why, "its method is not GET");
    if (versions != 1)
        return refuse(RC_HANDSHAKE, why, versions ? "several Sec-WebSocket-Version" : "no Sec-WebSocket-Version");
    if (!slice_equal(version, SLICE_OF("13")))
        return refuse(RC_WS_VERSION, why, "its version is not 13");
    if (keys != 1)
        return refuse(RC_HANDSHAKE, why, keys ? "several Sec-WebSocket-Key" : "no Sec-WebSocket-Key");
    if (!ws_key_is_valid(key))
        return refuse(RC_HANDSHAKE, why, "its Sec-WebSocket-Key is not 16 bytes in base64");
    x->websocket_key = key;
    if (w || has_messages(x) || x->hooks & HOOK_BIT(HOOK_WS_CLOSE) || x->websocket_wish) {
        x->websocket = arena_zero(&r->arena, sizeof *x->websocket);
        if (offer_what_we_know(x) != RC_OK)
            return refuse(RC_HANDSHAKE, why, "broken Sec-WebSocket-Extensions");
    }
    if (!w)
        return RC_OK;
    if (!origin_is_let_in(w, r))
        return refuse(RC_ORIGIN, why, "its origin is not among allow_origins");
    for (const struct fixed_header *h = w->headers; h; h = h->next) {
        for (uint32_t i = 0; i < r->headers.count; i++)
            r->headers.at[i].skip |= slice_equal_nocase(r->headers.at[i].name, h->name);
        headers_add(&r->headers, &r->arena, header_id_of(h->name), h->name, h->value);
    }
    return RC_OK;
}

/* Every member of a list in the answer stands in the fields of that name in the request. */
static bool was_offered(const struct headers *asked, struct slice name, struct slice token)
{
    for (uint32_t i = 0; i < asked->count; i++) {
        const struct header *f = &asked->at[i];
        struct slice list = f->value, member;
        if (f->removed || f->id != HEADER_UNKNOWN || !slice_equal_nocase(f->name, name))
            continue;
        while (slice_next_member(&list, &member)) {
            const char *end = memchr(member.at, ';', member.len);       /* an extension's parameters */
            if (end)
                member = slice_trim(slice_make(member.at, (size_t)(end - member.at)));
            if (slice_equal(member, token))
                return true;
        }
    }
    return false;
}

static bool extensions_were_offered(const struct exchange *x)
{
    for (uint32_t i = 0; i < x->res.headers.count; i++) {
        const struct header *f = &x->res.headers.at[i];
        struct slice list = f->value, member;
        if (f->id != HEADER_UNKNOWN || !slice_equal_nocase(f->name, extensions_name))
            continue;
        while (slice_next_member(&list, &member)) {
            const char *end = memchr(member.at, ';', member.len);
            if (end)
                member = slice_trim(slice_make(member.at, (size_t)(end - member.at)));
            if (!was_offered(&x->req.headers, extensions_name, member))
                return false;
        }
    }
    return true;
}

/* RFC 9110 section 7.8: the 101 says what the connection speaks now, which the client has asked for. A WebSocket that
 * was not asked for by its handshake is none. */
static enum rc check_other_upgrade(const struct exchange *x, const char **why)
{
    struct slice list = headers_value(&x->res.headers, HEADER_UPGRADE), member;
    struct slice asked = headers_value(&x->req.headers, HEADER_UPGRADE);
    bool is_named = false;
    while (slice_next_member(&list, &member)) {
        if (slice_equal_nocase(member, SLICE_OF("websocket")))
            return refuse(RC_UPSTREAM_BAD, why, "a WebSocket that was not asked for");
        if (!slice_list_has(asked, member))
            return refuse(RC_UPSTREAM_BAD, why, "an upgrade that was not asked for");
        is_named = true;
    }
    return is_named ? RC_OK : refuse(RC_UPSTREAM_BAD, why, "101 without \"Upgrade\"");
}

enum rc handshake_check_response(struct exchange *x, const char **why)
{
    const struct headers *h = &x->res.headers;
    unsigned count;
    if (!x->opens_websocket)
        return check_other_upgrade(x, why);
    char expected[WS_ACCEPT_LEN];
    ws_accept_for(x->websocket_key, expected);
    struct slice accept = field(h, accept_name, &count);
    if (!slice_equal_nocase(headers_value(h, HEADER_UPGRADE), SLICE_OF("websocket")))
        return refuse(RC_UPSTREAM_BAD, why, "101 without \"Upgrade: websocket\"");
    if (count != 1 || !slice_equal(accept, slice_make(expected, sizeof expected)))
        return refuse(RC_UPSTREAM_BAD, why, count ? "wrong Sec-WebSocket-Accept" : "no Sec-WebSocket-Accept");
    struct slice protocol = field(h, protocol_name, &count);
    if (count > 1 || (count && !was_offered(&x->req.headers, protocol_name, protocol)))
        return refuse(RC_UPSTREAM_BAD, why, "a subprotocol that was not asked for");
    if (x->websocket ? take_terms(x) != RC_OK : !extensions_were_offered(x))
        return refuse(RC_UPSTREAM_BAD, why, "an extension that was not asked for");
    return RC_OK;
}
