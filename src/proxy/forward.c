#include "proxy/forward.h"

#include "http/h1_write.h"
#include "http/request_timeout.h"
#include "proxy/seats.h"

/* Fields that we add are written as lines, side by side in one piece of the arena, so that the upstream's head takes
 * them as one copy. The piece is measured before: no check per byte. */
struct lines { char *at; struct headers *headers; enum header_line kind; };

static inline void end_line(struct lines *l, enum header_id id, struct slice name, char *value, char *end)
{
    memcpy(end, "\r\n", 2);
    struct headers *h = l->headers;
    headers_put(h, &h->at[h->count], id, name, slice_make(value, (size_t)(end - value)), l->kind);
    l->kind = LINE_NEXT;
    l->at = end + 2;
}

static inline char *put(char *at, struct slice s)
{
    if (s.len >= 8 && s.len <= 16) {    /* addresses and hosts: two moves that overlap are no call */
        memcpy(at, s.at, 8);
        memcpy(at + s.len - 8, slice_end(s) - 8, 8);
    } else {
        memcpy(at, s.at, s.len);
    }
    return at + s.len;
}

static inline char *put_scheme(char *at, const struct request *r)
{
    return r->is_tls ? put(at, SLICE_OF("https")) : put(at, SLICE_OF("http"));
}

static inline char *put_id(char *at, struct slice id)
{
    if (id.len != REQUEST_ID_BYTES)
        return put(at, id);
    memcpy(at, id.at, REQUEST_ID_BYTES);
    return at + REQUEST_ID_BYTES;
}

/* name is a literal: its copy is a move or two. */
#define LINE(l, id, name, value_end)                                                                                   \
    do {                                                                                                               \
        char *line_ = (l)->at, *value = line_ + sizeof(name) + 1;                                                      \
        memcpy(line_, name ": ", sizeof(name) + 1);                                                                    \
        end_line(l, id, slice_make(line_, sizeof(name) - 1), value, value_end);                                        \
    } while (0)

/* In place of what the client sent; where it is believed, its own field stays. */
static bool makes_way(struct headers *headers, enum header_id id, bool keep)
{
    const struct header *sent = headers->first[id] ? headers_find(headers, id) : NULL;
    if (!sent)
        return true;
    if (keep || sent->set)              /* what a plugin has set stays */
        return false;
    headers_skip(headers, id);
    return true;
}

bool forward_is_id(struct slice id)
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

/* The hexadecimal number that ends there, as text: cheaper than to print it for each request. */
static void count_up(char *end)
{
    char *at = end - 1;
    while (*at == 'f')
        *at-- = '0';
    *at = *at == '9' ? 'a' : (char)(*at + 1);
}

void forward_make_id(struct exchange *x)
{
    const struct header *sent = id_field(x);
    if (sent && forward_is_id(sent->value)) {
        x->id = sent->value;
        return;
    }
    char *id = arena_alloc(&x->req.arena, REQUEST_ID_BYTES);
    memcpy(id, x->plane->id_next, REQUEST_ID_BYTES);
    x->id = slice_make(id, REQUEST_ID_BYTES);
    count_up(x->plane->id_next + REQUEST_ID_BYTES);
}

/* From the right: each trusted proxy appended whom it saw. Not inlined: most clients are no proxies, and it takes room
 * on the stack. */
__attribute__((noinline)) static void find_behind_proxies(struct exchange *x)
{
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

void forward_find_client(struct exchange *x)
{
    x->client = x->req.peer;
    x->peer_is_trusted = generation_trusts(x->generation, &x->req.peer);
    if (x->peer_is_trusted && x->req.headers.first[HEADER_X_FORWARDED_FOR])
        find_behind_proxies(x);
}

/* All fields of a name as the front of a list, ", " behind. */
static char *put_list(char *at, const struct headers *headers, enum header_id id)
{
    for (uint32_t i = headers->first[id] ? headers->first[id] - 1u : headers->count; i < headers->count; i++)
        if (headers->at[i].id == id) {
            at = put(at, headers->at[i].value);
            at = put(at, SLICE_OF(", "));
        }
    return at;
}

static size_t list_bytes(const struct headers *headers, enum header_id id)
{
    size_t n = 0;
    for (uint32_t i = headers->first[id] ? headers->first[id] - 1u : headers->count; i < headers->count; i++)
        n += headers->at[i].id == id ? headers->at[i].value.len + 2 : 0;
    return n;
}

/* RFC 7239 section 4: one element, addresses of version 6 in brackets and quotes. */
static char *put_forwarded(char *at, const struct request *r)
{
    bool v6 = r->peer.family == AF_INET6;
    at = v6 ? put(at, SLICE_OF("for=\"[")) : put(at, SLICE_OF("for="));
    at = put(at, r->peer_text);
    if (v6)
        at = put(at, SLICE_OF("]\""));
    if (r->authority.len) {
        at = put(at, SLICE_OF(";host=\""));
        at = put(at, r->authority);
        at = put(at, SLICE_OF("\""));
    }
    return put_scheme(put(at, SLICE_OF(";proto=")), r);
}

/* What a plugin has set counts instead of ours. */
static bool is_free(struct headers *headers, enum header_id id)
{
    const struct header *sent = headers->first[id] ? headers_find(headers, id) : NULL;
    return !sent || !sent->set;
}

static void add_forwarded(struct lines *l, const struct request *r, bool trusted)
{
    struct headers *h = l->headers;
    if (is_free(h, HEADER_X_FORWARDED_FOR))
        LINE(l, HEADER_X_FORWARDED_FOR, "X-Forwarded-For",
             put(trusted ? put_list(value, h, HEADER_X_FORWARDED_FOR) : value, r->peer_text));
    if (makes_way(h, HEADER_X_FORWARDED_PROTO, trusted))
        LINE(l, HEADER_X_FORWARDED_PROTO, "X-Forwarded-Proto", put_scheme(value, r));
    if (r->authority.len && makes_way(h, HEADER_X_FORWARDED_HOST, trusted))
        LINE(l, HEADER_X_FORWARDED_HOST, "X-Forwarded-Host", put(value, r->authority));
    if (makes_way(h, HEADER_X_FORWARDED_PORT, trusted))
        LINE(l, HEADER_X_FORWARDED_PORT, "X-Forwarded-Port", put(value, r->port_text));
    if (is_free(h, HEADER_FORWARDED))
        LINE(l, HEADER_FORWARDED, "Forwarded",
             put_forwarded(trusted ? put_list(value, h, HEADER_FORWARDED) : value, r));
}

/* One id crosses, the one that was checked and logged. True where the client sent it. */
static bool keep_id(struct lines *l, struct exchange *x)
{
    enum header_id known = x->generation->id_header;
    struct slice name = x->generation->gateway.id_header;
    bool kept = false;
    if (known != HEADER_UNKNOWN && !l->headers->first[known])
        return false;
    for (uint32_t i = 0; i < l->headers->count; i++) {
        struct header *h = &l->headers->at[i];
        if (h->id != known || (known == HEADER_UNKNOWN && !slice_equal_nocase(h->name, name)))
            continue;
        h->skip |= kept || h->value.at != x->id.at;
        kept |= h->value.at == x->id.at;
    }
    return kept;
}

static void add_id(struct lines *l, struct exchange *x)
{
    if (keep_id(l, x))
        return;
    if (x->generation->id_header == HEADER_X_REQUEST_ID) {
        LINE(l, HEADER_X_REQUEST_ID, "X-Request-Id", put_id(value, x->id));
        return;
    }
    char *line = l->at, *value = put(put(line, x->generation->gateway.id_header), SLICE_OF(": "));
    end_line(l, x->generation->id_header, slice_make(line, (size_t)(value - line) - 2), value, put_id(value, x->id));
}

/* The first fields of a name before they were added to. */
static void skip_sent(struct headers *headers, enum header_id id, uint32_t sent)
{
    for (uint32_t i = headers->first[id] ? headers->first[id] - 1u : sent; i < sent; i++)
        headers->at[i].skip |= headers->at[i].id == id && !headers->at[i].set;
}

void forward_request(struct exchange *x)
{
    enum { FIXED = 512, LINES = 7 };    /* names, addresses, port, id: everything that has a bound of its own */
    struct request *r = &x->req;
    bool trusted = x->peer_is_trusted;
    uint32_t sent = r->headers.count;
    size_t size = FIXED + 2 * r->authority.len + x->generation->gateway.id_header.len + x->id.len;
    if (trusted)
        size += list_bytes(&r->headers, HEADER_X_FORWARDED_FOR) + list_bytes(&r->headers, HEADER_FORWARDED);
    struct lines l = { arena_alloc(&r->arena, size), &r->headers, LINE_WHOLE };
    headers_reserve(&r->headers, &r->arena, LINES);
    add_forwarded(&l, r, trusted);
    LINE(&l, HEADER_VIA, "Via", put(value, r->version == 10 ? SLICE_OF("1.0 tidegate") : SLICE_OF("1.1 tidegate")));
    add_id(&l, x);
    skip_sent(&r->headers, HEADER_X_FORWARDED_FOR, sent);
    skip_sent(&r->headers, HEADER_FORWARDED, sent);
    switch ((enum host_policy)x->service->settings.host_policy) {
    case HOST_PRESERVE: r->upstream_host = r->authority; break;
    case HOST_FIXED: r->upstream_host = x->service->settings.host; break;
    case HOST_NODE: break;              /* known when the node is */
    }
}

bool forward_max_forwards(struct exchange *x)
{
    struct header *h = (struct header *)(uintptr_t)headers_get(&x->req.headers, HEADER_MAX_FORWARDS);
    uint64_t n;
    if (!h || !slice_to_u64(h->value, UINT32_MAX, &n))
        return true;
    if (n == 0)
        return false;
    char *digits = arena_alloc(&x->req.arena, 20);
    h->value = slice_make(digits, format_u64(digits, n - 1));
    h->line = LINE_NONE;
    return true;
}

static bool counts_timeout(const struct exchange *x)
{
    switch ((enum timeout_header)x->generation->gateway.timeout_header) {
    case TIMEOUT_HEADER_TRUSTED: return x->peer_is_trusted;
    case TIMEOUT_HEADER_ALL: return true;
    case TIMEOUT_HEADER_NOBODY: return false;
    }
    return false;
}

enum rc forward_take_timeout(struct exchange *x)
{
    uint64_t ms;
    bool is_read = false;
    if (!counts_timeout(x))
        return RC_OK;
    for (uint32_t i = 0; i < x->req.headers.count; i++) {
        const struct header *h = &x->req.headers.at[i];
        if (h->id != HEADER_X_REQUEST_TIMEOUT)
            continue;
        if (is_read || request_timeout_parse(h->value, &ms) != RC_OK)
            return RC_BAD_TIMEOUT;
        is_read = true;
    }
    if (is_read && ms == 0)
        return RC_LATE;
    x->asked_ms = !is_read ? 0 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    return RC_OK;
}

void forward_timeout(struct exchange *x, uint64_t due_ms)
{
    struct headers *headers = &x->req.headers;
    headers_skip(headers, HEADER_X_REQUEST_TIMEOUT);
    if (due_ms == DEADLINE_NEVER)
        return;
    uint64_t now_ms = x->plane->loop->clock.now_ms, left_ms = due_ms > now_ms ? due_ms - now_ms : 1;
    char *at = arena_alloc(&x->req.arena, REQUEST_TIMEOUT_TEXT);
    headers_add(headers, &x->req.arena, HEADER_X_REQUEST_TIMEOUT, header_name(HEADER_X_REQUEST_TIMEOUT),
                slice_make(at, request_timeout_print(left_ms, at)));
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
    static const char via[] = "Via: 1.1 tidegate\r\n";
    struct slice value = slice_make(via + 5, sizeof via - 8);
    headers_add(headers, &x->req.arena, HEADER_VIA, slice_make(via, 3), value)->line = LINE_WHOLE;
    if (x->service->seats)
        seats_set_cookie(x);
}
