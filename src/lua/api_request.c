/* api_request: the calls of api.h about the request in hand. */
#include "http/h1_hop.h"
#include "http/url.h"
#include "lua/api.h"
#include "lua/chains.h"
#include "net/stream_tls.h"
#include "proxy/access_log.h"
#include "proxy/adhoc.h"
#include "proxy/forward.h"
#include "proxy/reply.h"
#include "proxy/steps.h"

/* -- texts and numbers -- */

static struct slice text_or_none(const char *text) { return text ? slice_text(text) : SLICE_NONE; }

static struct slice print_client(struct exchange *x)
{
    const struct peer *p = &x->client;
    if (peer_is(p, &x->req.peer))
        return x->req.peer_text;
    char *at = arena_alloc(&x->req.arena, 46);
    return slice_make(at, peer_print_ip(p, at));
}

static struct slice source_of(const struct exchange *x)
{
    switch ((enum response_source)x->source) {
    case SOURCE_GATEWAY: return SLICE_OF("gateway");
    case SOURCE_UPSTREAM: return SLICE_OF("upstream");
    case SOURCE_PLUGIN: return SLICE_OF("plugin");
    }
    return SLICE_NONE;
}

static struct slice tls_text(struct exchange *x, enum tls_text what)
{
    enum { SHORT = 4096, PEM = 32768 };
    size_t size = what == TLS_PEER_PEM ? PEM : SHORT;
    if (!x->req.is_tls)
        return SLICE_NONE;
    char *at = arena_alloc(&x->req.arena, size);
    size_t n = stream_tls_text(x->req.ops->stream(&x->req), what, at, size);
    return n ? slice_make(at, n) : SLICE_NONE;
}

static struct slice text_of(struct exchange *x, enum tide_text what)
{
    const struct request *r = &x->req;
    switch (what) {
    case TIDE_ID: return x->id;
    case TIDE_METHOD: return r->method_text;
    case TIDE_SCHEME: return r->is_tls ? SLICE_OF("https") : SLICE_OF("http");
    case TIDE_HOST: return r->host;
    case TIDE_AUTHORITY: return r->authority;
    case TIDE_PATH: return r->path;
    case TIDE_RAW_PATH: return r->target;
    case TIDE_QUERY: return r->query;
    case TIDE_CLIENT_IP: return print_client(x);
    case TIDE_ROUTE: return x->route ? x->route->settings.name : SLICE_NONE;
    case TIDE_SERVICE: return x->service ? x->service->settings.name : SLICE_NONE;
    case TIDE_NODE: return x->node ? slice_make(x->node->text, x->node->text_len) : SLICE_NONE;
    case TIDE_TLS_VERSION: return text_or_none(r->tls_version);
    case TIDE_TLS_CIPHER: return text_or_none(r->tls_cipher);
    case TIDE_TLS_NAME: return text_or_none(r->tls_name);
    case TIDE_SOURCE: return source_of(x);
    case TIDE_REASON: return x->res.reason;
    case TIDE_FAILURE: return x->failure ? slice_text(rc_word(x->failure)) : SLICE_NONE;
    case TIDE_REPLY_BODY: return slice_make(x->answer.at, x->answer.len);
    case TIDE_TLS_ALPN:
    case TIDE_CERT_SUBJECT:
    case TIDE_CERT_ISSUER:
    case TIDE_CERT_SERIAL:
    case TIDE_CERT_FINGERPRINT:
    case TIDE_CERT_NOT_AFTER:
    case TIDE_CERT_PEM: return tls_text(x, (enum tls_text)(what - TIDE_TLS_ALPN));
    case TIDE_HASH_KEY: return SLICE_NONE;
    }
    return SLICE_NONE;
}

int tide_text_of(double request, int what, struct slice *out)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    *out = text_of(x, (enum tide_text)what);
    return out->at ? TIDE_OK : TIDE_ABSENT;
}

static double seconds_of(uint64_t us) { return (double)us / 1e6; }

static double number_of(const struct exchange *x, enum tide_number what)
{
    const struct request *r = &x->req;
    switch (what) {
    case TIDE_PORT: return r->local_port;
    case TIDE_CLIENT_PORT: return x->client.port;
    case TIDE_VERSION: return r->version / 10.0;
    case TIDE_STARTED: return tide_now() - seconds_of(clock_us() - r->started_us);
    case TIDE_STATUS: return x->res.status;
    case TIDE_UPSTREAM_TIME: return x->first_byte_us ? seconds_of(x->first_byte_us - r->started_us) : -1;
    case TIDE_TRIES: return x->tries;
    case TIDE_FAILURE_STATUS: return rc_status(x->failure);
    case TIDE_BYTES_IN: return (double)r->bytes_in;
    case TIDE_BYTES_OUT: return (double)r->bytes_out;
    case TIDE_TOTAL_TIME: return seconds_of(clock_us() - r->started_us);
    }
    return 0;
}

int tide_number_of(double request, int what, double *out)
{
    const struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    *out = number_of(x, (enum tide_number)what);
    return TIDE_OK;
}

int tide_kept(double request, bool is_going_to)
{
    struct exchange *x = chains_exchange(request);
    if (!x || !(x->keeps |= is_going_to))
        return 0;
    return (int)slot_place(request) + 1;
}

int tide_param(double request, uint32_t index, struct slice *name, struct slice *value)
{
    const struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (index >= x->param_count)
        return TIDE_ABSENT;
    *name = x->params[index].name;
    *value = x->params[index].value;
    return TIDE_OK;
}

/* -- fields -- */

static struct headers *list_of(struct exchange *x, int side)
{
    return side == TIDE_REQUEST ? &x->req.headers : &x->res.headers;
}

/* Fields that the frontend took out because they are about the connection are still what the client said. */
static bool is_visible(const struct header *h)
{
    return !h->removed && (!h->skip || h1_is_hop_by_hop((enum header_id)h->id));
}

static bool is_named(const struct header *h, enum header_id id, struct slice name)
{
    return h->id == id && (id != HEADER_UNKNOWN || slice_equal_nocase(h->name, name));
}

int tide_header_id(const char *name, size_t len)
{
    struct slice s = slice_make(name, len);
    return header_is_token(s) ? (int)header_id_of(s) : -1;
}

/* Not inlined, as what follows: tide_header needs no call for most fields, and then saves no registers. */
__attribute__((noinline)) static int look_for(const struct headers *list, enum header_id id, struct slice name,
                                              struct slice *value)
{
    for (uint32_t i = list->first[id] ? list->first[id] - 1u : list->count; i < list->count; i++) {
        const struct header *h = &list->at[i];
        if (is_named(h, id, name) && is_visible(h)) {
            *value = h->value;
            return TIDE_OK;
        }
    }
    return TIDE_ABSENT;
}

static inline int value_of(struct exchange *x, int side, int number, struct slice name, struct slice *value)
{
    enum header_id id = (enum header_id)number;
    if (number < 0)
        return TIDE_ABSENT;
    if (id == HEADER_HOST && side == TIDE_REQUEST) {
        *value = x->req.authority;
        return value->at ? TIDE_OK : TIDE_ABSENT;
    }
    const struct headers *list = list_of(x, side);
    const struct header *h = headers_get(list, id);
    if (!h)
        return TIDE_ABSENT;
    if (id == HEADER_UNKNOWN || !is_visible(h))
        return look_for(list, id, name, value);
    *value = h->value;
    return TIDE_OK;
}

__attribute__((noinline)) static int value_of_other(double request, int side, int number, struct slice name,
                                                    struct slice *value)
{
    struct exchange *x = chains_other(request);
    return x ? value_of(x, side, number, name, value) : TIDE_OVER;
}

int tide_header(double request, int side, int number, const char *name, size_t len, struct slice *value)
{
    struct exchange *x = chains_in_hand(request);
    if (!x)
        return value_of_other(request, side, number, slice_make(name, len), value);
    return value_of(x, side, number, slice_make(name, len), value);
}

int tide_header_next(double request, int side, int number, const char *name, size_t len, uint32_t *at,
                     struct slice *field, struct slice *value)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (number < 0)
        return TIDE_ABSENT;
    struct slice wanted = slice_make(name, name ? len : 0);
    enum header_id id = (enum header_id)number;
    const struct headers *list = list_of(x, side);
    while (*at < list->count) {
        const struct header *h = &list->at[(*at)++];
        bool is_host = h->id == HEADER_HOST && side == TIDE_REQUEST;
        if ((!is_visible(h) && !is_host) || (name && !is_named(h, id, wanted)))
            continue;
        *field = h->name;
        *value = is_host ? x->req.authority : h->value;
        return TIDE_OK;
    }
    return TIDE_ABSENT;
}

static bool is_late(const struct exchange *x, int side)
{
    return side == TIDE_RESPONSE ? x->head_sent : x->request_sent || x->head_sent;
}

/* Whether there was one. Not inlined: mostly there is none, and one may know that without a call. */
__attribute__((noinline)) static bool remove_all(struct headers *list, enum header_id id, struct slice name)
{
    bool found = false;
    for (uint32_t i = list->first[id] - 1u; i < list->count; i++) {
        struct header *h = &list->at[i];
        if (h->id == id && (id || (h->name.len == name.len && slice_equal_nocase(h->name, name))))
            found = h->skip = h->removed = true;
    }
    if (id)
        list->first[id] = 0;
    return found;
}

/* Notes that a field is not wanted though it is not there: a trailer may have its name. */
__attribute__((noinline)) static void note_removed(struct exchange *x, struct headers *list, enum header_id id,
                                                   struct slice name)
{
    struct header *h = headers_add(list, &x->req.arena, id, arena_copy(&x->req.arena, name), SLICE_OF(""));
    h->skip = h->removed = true;
    if (id)
        list->first[id] = 0;
}

/* As a line, so that the head's writer takes it as one piece. */
static void add_line(struct exchange *x, struct headers *list, enum header_id id, struct slice name, struct slice value)
{
    if (value.len && ((unsigned char)value.at[0] <= ' ' || (unsigned char)value.at[value.len - 1] <= ' '))
        value = slice_trim(value);
    char *at = arena_alloc(&x->req.arena, name.len + value.len + 4);
    slice_copy(name, at);
    memcpy(at + name.len, ": ", 2);
    char *text = at + name.len + 2;
    slice_copy(value, text);
    memcpy(text + value.len, "\r\n", 2);
    struct header *h = headers_add(list, &x->req.arena, id, slice_make(at, name.len), slice_make(text, value.len));
    h->set = true;
    h->line = LINE_WHOLE;
}

static int set_host(struct exchange *x, struct slice value);
static bool has_response(const struct exchange *x);

static bool is_special(enum header_id id, int side)
{
    const uint64_t fixed = h1_hop_by_hop | 1ull << HEADER_CONTENT_LENGTH | 1ull << HEADER_TRANSFER_ENCODING;
    return (fixed | (side == TIDE_REQUEST ? 1ull << HEADER_HOST : 0)) >> id & 1;
}

/* Framing and connection are between the gateway and each side; the host is more than a field. Not inlined: it needs
 * room on the stack, which costs all the others. */
__attribute__((noinline)) static int change_special(struct exchange *x, enum header_id id, int change,
                                                    struct slice value)
{
    return id == HEADER_HOST && change == TIDE_SET ? set_host(x, value) : TIDE_FIXED;
}

int tide_header_change(double request, int side, int change, int number, const char *name, size_t name_len,
                       const char *value, size_t value_len)
{
    /* Plugins add to what the frontend has let in; both together must fit into what a head is rendered in. */
    enum { FIELDS_MAX = 1000, VALUE_MAX = 65536, ADDED_MAX = 65536 };
    struct exchange *x = chains_exchange(request);
    struct slice field = slice_make(name, name_len), content = slice_make(value, value_len);
    enum header_id id = (enum header_id)number;
    if (!x)
        return TIDE_OVER;
    if (is_late(x, side))
        return TIDE_LATE;
    if (side == TIDE_RESPONSE && !has_response(x))
        return TIDE_NOT_HERE;
    if (number < 0 || name_len > VALUE_MAX)
        return TIDE_BAD_NAME;
    if (change != TIDE_REMOVE && (!header_is_value(content) || value_len > VALUE_MAX))
        return TIDE_BAD_VALUE;
    if (is_special(id, side))
        return change_special(x, id, change, content);
    struct headers *list = list_of(x, side);
    bool was_there = change != TIDE_ADD && list->first[id] && remove_all(list, id, field);
    if (change == TIDE_REMOVE) {
        if (!was_there && list->count < FIELDS_MAX)
            note_removed(x, list, id, field);
        return TIDE_OK;
    }
    size_t size = field.len + content.len + 4;
    if (list->count >= FIELDS_MAX || x->added_bytes + size > ADDED_MAX)
        return TIDE_LIMIT;
    x->added_bytes += (uint32_t)size;
    add_line(x, list, id, field, content);
    return TIDE_OK;
}

/* -- changing the request -- */

static int set_host(struct exchange *x, struct slice value)
{
    struct slice host, port, copy = arena_copy(&x->req.arena, value);
    if (!value.len || url_split_authority(copy, &x->req.arena, &host, &port) != RC_OK)
        return TIDE_BAD_VALUE;
    x->req.authority = copy;
    x->req.host = host;
    return TIDE_OK;
}

static int set_path(struct exchange *x, struct slice value)
{
    struct slice path, copy = arena_copy(&x->req.arena, value);
    if (value.len > 65536 || !value.len || value.at[0] != '/' || memchr(value.at, '?', value.len) ||
        url_normalise(copy, x->req.security->merge_slashes, &x->req.arena, &path) != RC_OK)
        return TIDE_BAD_VALUE;
    x->req.path = path;
    return TIDE_OK;
}

static int set_query(struct exchange *x, struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.at[i] <= ' ' || (unsigned char)value.at[i] >= 127 || value.at[i] == '#')
            return TIDE_BAD_VALUE;
    x->req.query = value.len ? arena_copy(&x->req.arena, value) : SLICE_NONE;
    return TIDE_OK;
}

static int set_method(struct exchange *x, struct slice value)
{
    enum method m = method_of(value);
    if (!header_is_token(value) || value.len > 32 || m == METHOD_CONNECT)
        return TIDE_BAD_VALUE;
    x->req.method_text = arena_copy(&x->req.arena, value);
    x->req.method = m;
    return TIDE_OK;
}

static int set_id(struct exchange *x, struct slice value)
{
    if (!forward_is_id(value))
        return TIDE_BAD_VALUE;
    x->id = arena_copy(&x->req.arena, value);
    return TIDE_OK;
}

static int set_hash_key(struct exchange *x, struct slice key)
{
    if (!key.len)
        return TIDE_BAD_VALUE;
    x->hash_given = x->pick.has_hash = true;
    x->pick.hash = ring_hash(key);
    return TIDE_OK;
}

static int set_service(struct exchange *x, struct slice name)
{
    struct service_slot *found = generation_service(x->generation, name);
    if (!found)
        return TIDE_ABSENT;
    exchange_use_service(x, found);
    x->pick.tried = 0;
    x->pick.has_hash = x->hash_given;
    return TIDE_OK;
}

int tide_text_set(double request, int what, const char *at, size_t len)
{
    struct exchange *x = chains_exchange(request);
    struct slice value = slice_make(at, len);
    if (!x)
        return TIDE_OVER;
    if (is_late(x, TIDE_REQUEST))
        return TIDE_LATE;
    switch (what) {
    case TIDE_ID: return set_id(x, value);
    case TIDE_METHOD: return set_method(x, value);
    case TIDE_PATH: return set_path(x, value);
    case TIDE_QUERY: return set_query(x, value);
    case TIDE_HOST: return set_host(x, value);
    case TIDE_SERVICE: return set_service(x, value);
    case TIDE_HASH_KEY: return set_hash_key(x, value);
    default: return TIDE_NOT_HERE;
    }
}

int tide_node_set(double request, bool is_tls, const char *host, size_t len, int port)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (is_late(x, TIDE_REQUEST))
        return TIDE_LATE;
    /* Elsewhere the old node may be in use. */
    const struct coroutine *co = vm_here()->current;
    if (!co || co->x != x || (co->hook != HOOK_REQUEST && co->hook != HOOK_UPSTREAM))
        return TIDE_NOT_HERE;
    if (!len || len > 255 || port < 1 || port > 65535)
        return TIDE_BAD_VALUE;
    struct adhoc_target t = {
        .is_tls = is_tls, .verify = true, .port = (uint16_t)port,
        .host = arena_copy(&x->req.arena, slice_make(host, len)),
    };
    if (x->adhoc)
        adhoc_drop(x->adhoc);
    x->node = NULL;
    x->adhoc = adhoc_new(x->plane, &t, &x->req.arena, &x->wake);
    return TIDE_OK;
}

int tide_timeout_set(double request, double seconds)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (!(seconds > 0 && seconds < 4e6))
        return TIDE_BAD_VALUE;
    x->timeout_ms = seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000);
    return TIDE_OK;
}

int tide_body_max_set(double request, double bytes)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (!(bytes >= 1 && bytes <= 9e15))
        return TIDE_BAD_VALUE;
    if ((x->req.body == BODY_SIZED ? x->req.body_bytes : x->req.bytes_in) > (uint64_t)bytes)
        return TIDE_LIMIT;
    const struct limits *now = x->req.limits;
    if (now->body_bytes && now->body_bytes <= (uint64_t)bytes)
        return TIDE_OK;
    struct limits *own = arena_alloc(&x->req.arena, sizeof *own);
    *own = *now;
    own->body_bytes = (uint64_t)bytes;
    x->req.limits = own;
    return TIDE_OK;
}

int tide_log_set(double request, const char *name, size_t len, const char *json, size_t json_len)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    enum rc rc = access_log_add(x, slice_make(name, len), slice_make(json, json_len));
    return rc == RC_OK ? TIDE_OK : rc == RC_LIMIT ? TIDE_LIMIT : TIDE_BAD_NAME;
}

/* -- the response -- */

/* A response can be changed in its own hook, and while a reply is being made. */
static bool has_response(const struct exchange *x)
{
    const struct coroutine *co = vm_here()->current;
    return x->replied || (co && co->x == x && co->hook == HOOK_RESPONSE);
}

int tide_status_set(double request, int status)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (x->head_sent)
        return TIDE_LATE;
    if (status < 200 || status > 599)
        return TIDE_BAD_VALUE;
    if (!has_response(x) || x->res.status == 101)
        return TIDE_NOT_HERE;
    x->res.status = status;
    x->res.reason = SLICE_NONE;
    x->reframed = true;
    return TIDE_OK;
}

int tide_reply(double request, int status, const char *body, size_t len)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (x->head_sent)
        return TIDE_LATE;
    if (x->replied)
        return TIDE_TWICE;
    const struct coroutine *co = vm_here()->current;
    if (!co || co->x != x || co->line != LINE_MAIN || co->hook == HOOK_LOG || co->hook == HOOK_RESPONSE_BODY)
        return TIDE_NOT_HERE;
    if (status < 200 || status > 599)
        return TIDE_BAD_VALUE;
    reply_begin(x, status);
    exchange_set_answer(x, len ? arena_copy(&x->req.arena, slice_make(body, len)) : SLICE_NONE);
    if (status == 204 || status == 304)
        x->res.body = BODY_NONE;
    x->replied = true;
    return TIDE_OK;
}

/* -- bodies -- */

static int request_body_set(struct exchange *x, struct slice bytes)
{
    if (is_late(x, TIDE_REQUEST) || x->body_flows)
        return TIDE_LATE;
    buf_reset(&x->gathered);
    x->gathered.max = UINT32_MAX;
    x->gathered_at = 0;
    if (bytes.len && buf_append(&x->gathered, bytes) != RC_OK)
        return TIDE_LIMIT;
    x->source_ended = true;             /* what the client still sends of its own is not for the upstream */
    /* Where plugins see the chunks, their length is what those plugins will make of it. */
    x->req.sent_body = has(x, HOOK_REQUEST_BODY) && x->route ? BODY_STREAMED : BODY_SIZED;
    x->req.sent_body_bytes = bytes.len;
    headers_skip(&x->req.headers, HEADER_CONTENT_LENGTH);
    return TIDE_OK;
}

static int response_body_set(struct exchange *x, struct slice bytes)
{
    if (x->head_sent)
        return TIDE_LATE;
    if (!has_response(x))
        return TIDE_NOT_HERE;
    x->reframed = true;
    if (!x->up) {
        exchange_set_answer(x, bytes.len ? arena_copy(&x->req.arena, bytes) : SLICE_NONE);
        return TIDE_OK;
    }
    if (x->res.status == 101)
        return TIDE_NOT_HERE;
    exchange_drop_body(x);
    buf_reset(&x->gathered_response);
    x->gathered_response.max = UINT32_MAX;
    if (bytes.len && buf_append(&x->gathered_response, bytes) != RC_OK)
        return TIDE_LIMIT;
    x->gathered_back = true;
    x->res.body = BODY_SIZED;
    x->res.body_bytes = bytes.len;
    headers_skip(&x->res.headers, HEADER_CONTENT_LENGTH);
    return TIDE_OK;
}

int tide_body_set(double request, int side, const char *at, size_t len)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    struct slice bytes = slice_make(at, len);
    return side == TIDE_REQUEST ? request_body_set(x, bytes) : response_body_set(x, bytes);
}

static int gather(struct exchange *x, enum gather what, double max)
{
    const struct coroutine *co = vm_here()->current;
    if (!co || co->x != x || co->line != LINE_MAIN || co->hook == HOOK_RESPONSE_BODY || !tide_wait(-1))
        return TIDE_NOT_HERE;
    if (what == GATHER_REQUEST && x->req.expects_continue) {
        struct response interim = { .status = 100 };
        x->req.ops->send_interim(&x->req, &interim);
        x->req.expects_continue = false;
        headers_skip(&x->req.headers, HEADER_EXPECT);
    }
    x->gather = (uint8_t)what;
    x->gather_max = (uint64_t)max;
    return TIDE_WAIT;
}

static int request_body(struct exchange *x, double max, struct slice *out)
{
    if (x->req.sent_body == BODY_NONE)
        return TIDE_ABSENT;
    *out = buf_slice(&x->gathered);
    if ((double)out->len > max)
        return TIDE_LIMIT;
    if (x->source_ended && x->gathered_at == 0)
        return TIDE_OK;
    if (x->request_sent || x->body_flows || x->head_sent || x->source_ended)
        return TIDE_LATE;
    return gather(x, GATHER_REQUEST, max);
}

static int response_body(struct exchange *x, double max, struct slice *out)
{
    if (!x->up) {
        *out = slice_make(x->answer.at, x->answer.len);
        return !out->len ? TIDE_ABSENT : (double)out->len > max ? TIDE_LIMIT : TIDE_OK;
    }
    if (x->res.body == BODY_NONE)
        return TIDE_ABSENT;
    if (x->head_sent || x->res.status == 101)
        return TIDE_LATE;
    *out = buf_slice(&x->gathered_response);
    if ((double)out->len > max)
        return TIDE_LIMIT;
    return x->up->response_done ? TIDE_OK : gather(x, GATHER_RESPONSE, max);
}

int tide_body(double request, int side, double max, struct slice *out)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (!(max >= 0 && max <= 4e9))
        return TIDE_BAD_VALUE;
    return side == TIDE_REQUEST ? request_body(x, max, out) : response_body(x, max, out);
}
