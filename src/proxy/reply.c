#include "proxy/reply.h"

#include "http/h1_write.h"
#include "proxy/forward.h"

static void add(struct exchange *x, enum header_id id, struct slice value)
{
    headers_add(&x->res.headers, &x->req.arena, id, header_name(id), value);
}

static struct span begin(struct exchange *x, int status, struct slice body)
{
    headers_clear(&x->res.headers);
    x->res.status = status;
    x->res.reason = SLICE_NONE;
    x->res.close = false;
    x->res.body = BODY_SIZED;
    x->res.body_bytes = body.len;
    return (struct span){ (char *)(uintptr_t)body.at, body.len, 0, 0 };
}

void reply_begin(struct exchange *x, int status) { (void)begin(x, status, SLICE_NONE); }     /* no body: no span */

void reply_type(struct exchange *x, struct slice type) { add(x, HEADER_CONTENT_TYPE, type); }

static void add_id(struct exchange *x)
{
    struct slice name = x->generation->gateway.id_header;
    enum header_id id = x->generation->id_header;
    headers_add(&x->res.headers, &x->req.arena, id, id ? header_name(id) : name, x->id);
}

static bool wants_json(const struct exchange *x)
{
    struct slice accept = headers_value(&x->req.headers, HEADER_ACCEPT), member;
    while (slice_next_member(&accept, &member))
        for (size_t i = 0; i + 4 <= member.len; i++)
            if (slice_equal_nocase(slice_make(member.at + i, 4), SLICE_OF("json")))
                return true;
    return false;
}

/* Of a service that there is not, its name as well: nothing in a path has a meaning in JSON. */
static struct slice word_of(struct exchange *x, enum rc rc)
{
    if (rc != RC_NO_SERVICE)
        return slice_text(rc_word(rc));
    struct slice name = by_path_name(x->route->by_path, x->req.path);
    char *at = arena_alloc(&x->req.arena, name.len + 32);
    struct out o = { at, at + name.len + 32, false };
    out_put(&o, SLICE_OF("Service '"));
    out_put(&o, name);
    out_put(&o, SLICE_OF("' not found"));
    return slice_make(at, (size_t)(o.at - at));
}

struct span reply_error(struct exchange *x, enum rc rc)
{
    int status = rc_status(rc);
    struct slice reason = status_reason(status), word = word_of(x, rc);
    size_t size = 128 + reason.len + word.len + x->id.len;
    char *at = arena_alloc(&x->req.arena, size);
    struct out o = { at, at + size, false };
    bool json = wants_json(x);
    if (rc == RC_NO_SERVICE && !json) {
        out_put(&o, word);
    } else if (json) {
        out_put(&o, SLICE_OF("{\"status\":"));
        out_number(&o, (uint64_t)status);
        out_put(&o, SLICE_OF(",\"error\":\""));
        out_put(&o, word);
        out_put(&o, SLICE_OF("\",\"request_id\":\""));
        out_put(&o, x->id);
        out_put(&o, SLICE_OF("\"}\n"));
    } else {
        out_number(&o, (uint64_t)status);
        out_put(&o, SLICE_OF(" "));
        out_put(&o, reason);
        out_put(&o, SLICE_OF(": "));
        out_put(&o, word);
        out_put(&o, SLICE_OF("\n"));
    }
    struct span body = begin(x, status, slice_make(at, (size_t)(o.at - at)));
    add(x, HEADER_CONTENT_TYPE, json ? SLICE_OF("application/json") : SLICE_OF("text/plain; charset=utf-8"));
    add_id(x);
    if (rc == RC_WS_VERSION)            /* RFC 6455 section 4.4 */
        headers_add(&x->res.headers, &x->req.arena, HEADER_UNKNOWN, SLICE_OF("Sec-WebSocket-Version"), SLICE_OF("13"));
    if (status == 503) {
        char *digits = arena_alloc(&x->req.arena, 20);
        size_t n = format_u64(digits, x->retry_after_s ? x->retry_after_s : 1);
        add(x, HEADER_RETRY_AFTER, slice_make(digits, n));
    }
    return body;
}

/* allowed: bit per enum method; bit METHOD_COUNT: all but TRACE, as in a route without methods. */
static void add_allow(struct exchange *x, uint32_t allowed)
{
#define METHOD_NAME(name) SLICE(#name),
    static const struct slice names[] = { SLICE(""), METHOD_TABLE(METHOD_NAME) };
#undef METHOD_NAME
    char *at = arena_alloc(&x->req.arena, 128);
    struct out o = { at, at + 128, false };
    bool all = allowed >> METHOD_COUNT & 1;
    for (unsigned m = METHOD_GET; m < METHOD_COUNT; m++) {
        if (m == METHOD_CONNECT || !(all ? m != METHOD_TRACE : allowed >> m & 1))
            continue;
        if (o.at > at)
            out_put(&o, SLICE_OF(", "));
        out_put(&o, names[m]);
    }
    add(x, HEADER_ALLOW, slice_make(at, (size_t)(o.at - at)));
}

struct span reply_method_not_allowed(struct exchange *x, const struct router_answer *answer)
{
    struct span body = reply_error(x, RC_METHOD);
    add_allow(x, answer->allowed);
    return body;
}

struct span reply_options(struct exchange *x)
{
    struct span body = begin(x, 200, SLICE_NONE);
    add_allow(x, x->route->match.methods ? x->route->match.methods : 1u << METHOD_COUNT);
    return body;
}

static void add_fixed(struct exchange *x)
{
    for (struct fixed_header *h = x->route->headers; h; h = h->next)
        headers_add(&x->res.headers, &x->req.arena, header_id_of(h->name), h->name, h->value);
}

struct span reply_fixed(struct exchange *x)
{
    struct span body = begin(x, x->route->settings.status, x->route->settings.body);
    if (x->res.status == 204 || x->res.status == 304)
        x->res.body = BODY_NONE;
    add_fixed(x);
    if (body.len && !headers_get(&x->res.headers, HEADER_CONTENT_TYPE))
        add(x, HEADER_CONTENT_TYPE, SLICE_OF("text/plain; charset=utf-8"));
    return body;
}

static struct slice variable(const struct exchange *x, struct slice name)
{
    const struct request *r = &x->req;
    if (slice_equal(name, SLICE_OF("path")))
        return r->path;
    if (slice_equal(name, SLICE_OF("host")))
        return r->host;
    if (slice_equal(name, SLICE_OF("scheme")))
        return r->is_tls ? SLICE_OF("https") : SLICE_OF("http");
    if (slice_equal(name, SLICE_OF("query")))
        return r->query;
    return SLICE_NONE;
}

struct span reply_redirect(struct exchange *x)
{
    struct slice to = x->route->settings.redirect_to;
    /* Every variable is a part of the request target or the host: the result cannot be longer than this. */
    size_t size = to.len * (1 + x->req.target.len + x->req.authority.len) + 8;
    if (size > 128 * 1024)
        size = 128 * 1024;
    char *at = arena_alloc(&x->req.arena, size);
    struct out o = { at, at + size, false };
    while (to.len) {
        const char *end = to.len > 3 && to.at[0] == '$' && to.at[1] == '{' ? memchr(to.at, '}', to.len) : NULL;
        if (!end) {
            out_put(&o, slice_make(to.at, 1));
            to = slice_from(to, 1);
            continue;
        }
        struct slice name = slice_make(to.at + 2, (size_t)(end - to.at) - 2);
        if (slice_equal(name, SLICE_OF("request_uri"))) {
            out_put(&o, variable(x, SLICE_OF("path")));
            name = SLICE_OF("query");
        }
        struct slice value = variable(x, name);
        if (value.at && value.at == x->req.query.at)
            out_put(&o, SLICE_OF("?"));
        out_put(&o, value);
        to = slice_from(to, (size_t)(end - to.at) + 1);
    }
    struct slice location = slice_make(at, (size_t)(o.at - at));
    /* RFC 3986 section 4.2: what begins with two slashes names a host. Only the template may choose one. */
    if (!slice_has_prefix(x->route->settings.redirect_to, SLICE_OF("//")))
        while (slice_has_prefix(location, SLICE_OF("//")))
            location = slice_from(location, 1);
    struct span body = begin(x, x->route->settings.status, SLICE_NONE);
    add_fixed(x);
    add(x, HEADER_LOCATION, location);
    return body;
}

struct span reply_echo(struct exchange *x)
{
    struct request *r = &x->req;
    size_t size = 256 + r->method_text.len + r->path.len + r->query.len + r->authority.len;
    for (uint32_t i = 0; i < r->headers.count; i++)
        size += r->headers.at[i].name.len + r->headers.at[i].value.len + 4;
    char *at = arena_alloc(&r->arena, size);
    struct out o = { at, at + size, false };
    out_put(&o, r->method_text);
    out_put(&o, SLICE_OF(" "));
    out_put(&o, r->path);
    if (r->query.at) {
        out_put(&o, SLICE_OF("?"));
        out_put(&o, r->query);
    }
    out_put(&o, r->version == 10 ? SLICE_OF(" HTTP/1.0\r\n") : SLICE_OF(" HTTP/1.1\r\n"));
    if (r->authority.len)
        out_field(&o, SLICE_OF("Host"), r->authority);
    for (uint32_t i = 0; i < r->headers.count; i++)
        if (r->headers.at[i].id != HEADER_HOST && !r->headers.at[i].removed)
            out_field(&o, r->headers.at[i].name, r->headers.at[i].value);
    out_put(&o, SLICE_OF("\r\n"));
    struct span body = begin(x, 200, slice_make(at, (size_t)(o.at - at)));
    add(x, HEADER_CONTENT_TYPE, SLICE_OF("text/plain; charset=utf-8"));
    add_id(x);
    if (r->sent_body == BODY_SIZED)
        x->res.body_bytes += r->sent_body_bytes;
    else if (r->sent_body == BODY_STREAMED)
        x->res.body = BODY_STREAMED;
    return body;
}
