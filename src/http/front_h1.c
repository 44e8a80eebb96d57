#include "http/front_h1.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "http/h1_chunked.h"
#include "http/h1_hop.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/url.h"
#include "net/proxy_protocol.h"
#include "net/stream_tls.h"

enum {
    OUT_MAX = SCRATCH_BEFORE + SCRATCH_BYTES + RENDER_BYTES + 4096, /* what one send may leave over, and a head */
    LINGER_MS = 2000,           /* how long a refused client may go on sending before it is cut */
    LINGER_BYTES = 1 << 20,
    DRAIN_IDLE_MS = 500,        /* a request may be on its way to an idle connection: it is still answered */
    LATE_MS = 10,               /* a connection that is done by then never enters the epoll set */
    CHUNK_BEFORE = 18, CHUNK_AFTER = 7,
    TURNED_AWAY_MAX = 256,      /* connections over the limit that may linger to read their 503 */
};

enum front_state { FRONT_PROXY, FRONT_HANDSHAKE, FRONT_IDLE, FRONT_HEAD, FRONT_BUSY, FRONT_LINGER, FRONT_CLOSED };

struct front {
    struct stream stream;
    struct fronts *set;
    struct request *request;            /* from the first byte of its head to finish */
    struct deadline deadline;
    uint64_t due_ms;                    /* the wished deadline, when an earlier one is set to register late */
    struct task again;                  /* pipelined bytes wait in `in` */
    struct link in_all;                 /* fronts.all */
    struct grave grave;
    struct buf in;                      /* bytes read but not used */
    struct buf out;                     /* bytes the socket did not take */
    struct span ahead;                  /* bytes in the loop's scratch, unused; only within one callback */
    uint32_t taken;                     /* bytes of `in` given out as a body and still in use */
    uint32_t requests;
    uint64_t body_left;                 /* of a sized body */
    uint32_t lingered;
    struct chunked chunked;
    struct tls_facts tls;               /* all NULL without TLS */
    struct peer peer;
    uint16_t local_port;
    uint8_t peer_text_len, port_text_len;       /* 0: not printed yet */
    char peer_text[46], port_text[5];
    uint8_t listener;
    uint8_t state;                      /* enum front_state */
    bool keep;                          /* the connection survives the current response */
    bool body_done;                     /* the request's body was read to its end */
    bool chunk_out;                     /* the response is written in chunks */
    bool head_sent;
    bool trust_proxy, tls_next, old;    /* old: HTTP/1.0 */
    bool turned_away;                   /* only here until it has read its 503; not counted */
};

static void on_event(struct io *io);
static void on_deadline(struct deadline *d);
static void on_again(struct task *t);
static const struct front_ops ops;

void fronts_init(struct fronts *set, struct loop *loop, const struct request_events *events)
{
    *set = (struct fronts){ .loop = loop, .events = events };
    freelist_init(&set->free, sizeof(struct front), 64);
    list_init(&set->all);
}

void fronts_free(struct fronts *set) { freelist_free(&set->free); }

/* -- the connection -- */

static _Atomic uint32_t open_everywhere;

static void count_open(struct fronts *set, int n)
{
    atomic_store_explicit(&set->open, set->open + (uint32_t)n, memory_order_relaxed);
    atomic_fetch_add_explicit(&open_everywhere, (uint32_t)n, memory_order_relaxed);
}

uint32_t fronts_open(void) { return atomic_load_explicit(&open_everywhere, memory_order_relaxed); }

static struct loop *loop_of(const struct front *f) { return f->set->loop; }

static void bury(struct grave *g)
{
    struct front *f = LINK_OWNER(g, struct front, grave);
    freelist_give(&f->set->free, f);
}

static void front_close(struct front *f)
{
    if (f->state == FRONT_CLOSED)
        return;
    f->state = FRONT_CLOSED;
    stream_close(&f->stream);
    deadline_remove(&loop_of(f)->deadlines, &f->deadline);
    link_remove(&f->again.in_ready);
    link_remove(&f->in_all);
    buf_reset(&f->in);
    buf_reset(&f->out);
    if (f->turned_away)
        f->set->turned_away--;
    else
        count_open(f->set, -1);
    loop_bury(loop_of(f), &f->grave, bury);
}

/* Ends a connection with a request that was never ready. */
static void front_drop(struct front *f)
{
    struct request *r = f->request;
    f->request = NULL;
    if (r)
        f->set->events->drop(r);
    front_close(f);
}

static void front_register(struct front *f)
{
    if (!f->stream.io.registered && f->state != FRONT_CLOSED && !loop_add(loop_of(f), &f->stream.io))
        log_error("front", "cannot register a connection", "why", strerror(errno));
}

static void front_arm(struct front *f, uint64_t due_ms)
{
    f->due_ms = due_ms;
    uint64_t late = loop_of(f)->clock.now_ms + LATE_MS;
    loop_deadline(loop_of(f), &f->deadline, f->stream.io.registered || due_ms < late ? due_ms : late);
}

/* -- input: first what is left of the last read, then what was put aside, then the socket -- */

static void release_taken(struct front *f)
{
    if (f->taken)
        buf_consume(&f->in, f->taken);
    f->taken = 0;
}

static void stash(struct front *f)
{
    if (!f->ahead.len)
        return;
    f->in.max = SCRATCH_BYTES + 64 * 1024;
    if (buf_append(&f->in, slice_make(f->ahead.at, f->ahead.len)) != RC_OK)
        log_error("front", "input over its bound");     /* one scratch at most was read ahead: cannot be */
    f->ahead = (struct span){ 0 };
}

static enum rc next_input(struct front *f, struct span *out)
{
    release_taken(f);
    if (f->ahead.len) {
        *out = f->ahead;
        f->ahead = (struct span){ 0 };
        return RC_OK;
    }
    if (buf_len(&f->in)) {
        struct slice s = buf_slice(&f->in);
        *out = (struct span){ f->in.at + f->in.start, s.len, f->in.start, f->in.cap - f->in.end };
        f->taken = (uint32_t)s.len;
        return RC_OK;
    }
    if (!(f->stream.io.ready & IO_READABLE)) {
        front_register(f);
        return RC_AGAIN;
    }
    struct loop *loop = loop_of(f);
    size_t n;
    enum rc rc = stream_read(&f->stream, loop->scratch, SCRATCH_BYTES, &n);
    if (rc == RC_OK)
        *out = (struct span){ loop->scratch, n, SCRATCH_BEFORE, SCRATCH_BYTES - n + SCRATCH_AFTER };
    else if (rc == RC_AGAIN)
        front_register(f);
    return rc;
}

/* Gives the last n bytes of what next_input gave back. */
static void give_back(struct front *f, const struct span *s, size_t n)
{
    if (n == 0)
        return;
    if (f->taken) {
        f->taken -= (uint32_t)n;
        return;
    }
    /* Out of the scratch at once: others will read into it. */
    f->ahead = (struct span){ s->at + s->len - n, n, 0, 0 };
    stash(f);
}

/* -- output -- */

static enum rc write_out(struct front *f, struct slice bytes)
{
    size_t n = 0;
    if (buf_len(&f->out) == 0) {
        enum rc rc = stream_write(&f->stream, bytes, &n);
        if (rc != RC_OK && rc != RC_AGAIN)
            return RC_CLIENT_GONE;
        f->request->written += n;
    }
    if (n == bytes.len)
        return RC_OK;
    f->out.max = OUT_MAX;
    front_register(f);
    return buf_append(&f->out, slice_from(bytes, n)) == RC_OK ? RC_AGAIN : RC_CLIENT_GONE;
}

static enum rc op_flush(struct request *r)
{
    struct front *f = r->front;
    while (buf_len(&f->out)) {
        size_t n;
        if (!(f->stream.io.ready & IO_WRITABLE))
            return RC_AGAIN;
        enum rc rc = stream_write(&f->stream, buf_slice(&f->out), &n);
        if (rc == RC_AGAIN)
            return RC_AGAIN;
        if (rc != RC_OK)
            return RC_CLIENT_GONE;
        r->written += n;
        buf_consume(&f->out, n);
    }
    return RC_OK;
}

/* -- reading a head -- */

static bool is_chunked(struct slice value, enum rc *rc)
{
    if (slice_equal_nocase(value, SLICE_OF("chunked")))
        return true;
    /* RFC 9112 section 6.1: a coding we do not know is 501; a list that could hide the framing is 400. */
    struct slice member;
    unsigned chunked = 0, others = 0;
    while (slice_next_member(&value, &member)) {
        if (slice_equal_nocase(member, SLICE_OF("chunked")))
            chunked++;
        else
            others++;
        if (!header_is_token(member))
            others = 100;
    }
    *rc = chunked <= 1 && others && others < 100 ? RC_UNKNOWN_CODING : RC_MALFORMED;
    return false;
}

struct framing { unsigned hosts, lengths, codings; bool close, keep_alive, upgrade, named; };

static void read_connection(struct slice value, struct framing *seen)
{
    struct slice member;
    while (slice_next_member(&value, &member)) {
        if (slice_equal_nocase(member, SLICE_OF("close")))
            seen->close = true;
        else if (slice_equal_nocase(member, SLICE_OF("keep-alive")))
            seen->keep_alive = true;
        else if (slice_equal_nocase(member, SLICE_OF("upgrade")))
            seen->upgrade = true;
        else
            seen->named = true;
    }
}

/* Fields that say how the message is framed are taken out here: each side of the gateway writes its own. */
static enum rc read_field(struct front *f, struct request *r, struct header *h, struct framing *seen)
{
    enum rc rc = RC_OK;
    switch (h->id) {
    case HEADER_HOST:
        r->authority = h->value;
        h->skip = true;
        return ++seen->hosts > 1 ? RC_MALFORMED : RC_OK;
    case HEADER_CONTENT_LENGTH:
        r->body = BODY_SIZED;
        if (++seen->lengths > 1 || !slice_to_u64(h->value, INT64_MAX, &r->body_bytes))
            return RC_MALFORMED;
        return RC_OK;
    case HEADER_TRANSFER_ENCODING:
        h->skip = true;
        r->body = BODY_STREAMED;
        if (++seen->codings > 1 || f->old)
            return RC_MALFORMED;
        (void)is_chunked(h->value, &rc);
        return rc;
    case HEADER_CONNECTION:
        h->skip = true;
        read_connection(h->value, seen);
        return RC_OK;
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_HTTP2_SETTINGS:
    case HEADER_UPGRADE: h->skip = true; return RC_OK;
    case HEADER_EXPECT:
        /* RFC 9110 section 10.1.1: ignored from HTTP/1.0, unknown ones are 417. */
        h->skip = f->old;
        if (f->old)
            return RC_OK;
        r->expects_continue = true;
        return slice_equal_nocase(h->value, SLICE_OF("100-continue")) ? RC_OK : RC_EXPECTATION;
    default: return RC_OK;
    }
}

static enum rc read_fields(struct front *f, struct request *r)
{
    struct framing seen = { 0 };
    for (uint32_t i = 0; i < r->headers.count; i++) {
        struct header *h = &r->headers.at[i];
        enum rc rc = h->id == HEADER_UNKNOWN ? RC_OK : read_field(f, r, h, &seen);
        if (rc != RC_OK)
            return rc;
    }
    if (seen.named)
        for (uint32_t i = r->headers.first[HEADER_CONNECTION] - 1u; i < r->headers.count; i++)
            if (r->headers.at[i].id == HEADER_CONNECTION)
                h1_skip_named(&r->headers, r->headers.at[i].value);
    if (seen.lengths && seen.codings)
        return RC_MALFORMED;            /* RFC 9112 section 6.3: the classic of request smuggling */
    if (seen.hosts == 0 && !f->old)
        return RC_MALFORMED;            /* RFC 9112 section 3.2 */
    if (r->body == BODY_SIZED && r->body_bytes == 0 && r->method != METHOD_POST && r->method != METHOD_PUT &&
        r->method != METHOD_PATCH) {
        r->body = BODY_NONE;
        r->headers.at[r->headers.first[HEADER_CONTENT_LENGTH] - 1].skip = true;
    }
    f->keep = f->old ? seen.keep_alive && !seen.close : !seen.close;
    /* After CONNECT a client takes what follows for a tunnel. */
    f->keep = f->keep && r->method != METHOD_CONNECT && !f->set->draining;
    f->keep = f->keep && ++f->requests < f->set->requests_per_connection;
    struct slice upgrade = headers_value(&r->headers, HEADER_UPGRADE);
    /* Not to cleartext HTTP/2: what follows would be requests that nobody here looks at. */
    r->wants_upgrade = seen.upgrade && !f->old && upgrade.len && r->body == BODY_NONE &&
                       !slice_list_has(upgrade, SLICE_OF("h2c"));
    f->body_left = r->body == BODY_SIZED ? r->body_bytes : 0;
    f->body_done = r->body == BODY_NONE || (r->body == BODY_SIZED && r->body_bytes == 0);
    if (r->limits->body_bytes && r->body == BODY_SIZED && r->body_bytes > r->limits->body_bytes)
        return RC_BODY_LIMIT;
    if (r->security->require_content_length && r->body == BODY_STREAMED)
        return RC_NO_LENGTH;
    return RC_OK;
}

static enum rc read_target(struct request *r)
{
    struct slice path = r->target, port;
    if (r->method == METHOD_CONNECT || (r->method == METHOD_OPTIONS && slice_equal(path, SLICE_OF("*")))) {
        r->path = path;
    } else {
        if (path.at[0] != '/') {
            /* RFC 9112 section 3.2.2: the target's authority replaces Host. */
            enum rc rc = url_split_absolute(path, &r->authority, &path);
            if (rc != RC_OK)
                return rc;
        }
        const char *mark = memchr(path.at, '?', path.len);
        if (mark) {
            r->query = slice_from(path, (size_t)(mark + 1 - path.at));
            path.len = (size_t)(mark - path.at);
        }
        if (path.len == 0)
            path = SLICE_OF("/");
        enum rc rc = url_normalise(path, r->security->merge_slashes, &r->arena, &r->path);
        if (rc != RC_OK)
            return rc;
    }
    if (r->authority.len == 0)          /* RFC 9110 section 7.2: an empty Host is what a client without one sends */
        return RC_OK;
    return url_split_authority(r->authority, &r->arena, &r->host, &port);
}

static enum rc accept_head(struct front *f, struct request *r, const struct h1_head *head)
{
    f->old = head->minor == 0;
    r->version = f->old ? 10 : 11;
    r->method_text = head->method;
    r->method = method_of(head->method);
    r->target = head->target;
    enum rc rc = read_fields(f, r);
    return rc == RC_OK ? read_target(r) : rc;
}

static struct request *open_request(struct front *f)
{
    struct request *r = f->set->events->open(loop_of(f));
    r->ops = &ops;
    r->front = f;
    r->is_tls = f->stream.tls != NULL;
    r->peer = f->peer;
    r->local_port = f->local_port;
    if (!f->peer_text_len) {
        f->peer_text_len = (uint8_t)peer_print_ip(&f->peer, f->peer_text);
        f->port_text_len = (uint8_t)format_u64(f->port_text, f->local_port);
    }
    r->peer_text = slice_make(f->peer_text, f->peer_text_len);
    r->port_text = slice_make(f->port_text, f->port_text_len);
    r->listener = f->listener;
    r->tls_version = f->tls.version;
    r->tls_cipher = f->tls.cipher;
    r->tls_name = f->tls.server_name;
    f->request = r;
    f->head_sent = f->chunk_out = f->body_done = false;
    f->keep = false;
    f->chunked = (struct chunked){ 0 };
    f->state = FRONT_HEAD;
    front_arm(f, loop_of(f)->clock.now_ms + r->timeouts->head_ms);
    return r;
}

static void refuse(struct front *f, enum rc rc)
{
    struct request *r = f->request;
    f->keep = false;
    f->state = FRONT_BUSY;
    f->set->events->refuse(r, rc);
}

/* in: all bytes of the head so far, and maybe more. True when the head is complete or refused. */
static bool parse_head(struct front *f, const struct span *in)
{
    struct request *r = f->request;
    struct h1_limits limits = { r->limits->head_bytes, r->limits->headers, r->limits->uri_bytes };
    struct h1_head head = { 0 };
    headers_clear(&r->headers);
    enum rc rc = h1_parse_request(slice_make(in->at, in->len), &limits, &r->arena, &head, &r->headers);
    if (rc == RC_AGAIN) {
        arena_reset(&r->arena);         /* nothing else lives there yet */
        return false;
    }
    if (rc != RC_OK) {
        headers_clear(&r->headers);     /* views of bytes that will move */
        refuse(f, rc);
        return true;
    }
    struct slice copy = arena_copy(&r->arena, slice_make(in->at, head.bytes));
    h1_head_move(&head, &r->headers, in->at, (char *)(uintptr_t)copy.at);
    rc = accept_head(f, r, &head);
    size_t rest = in->len - head.bytes;
    if (f->taken) {
        f->taken -= (uint32_t)rest;
        release_taken(f);
    } else if (rest) {
        f->ahead = (struct span){ in->at + head.bytes, rest, in->before + head.bytes, in->after };
        if (f->body_done)
            stash(f);
    }
    if (rc != RC_OK) {
        refuse(f, rc);
        return true;
    }
    f->state = FRONT_BUSY;
    f->set->events->ready(r);
    return true;
}

/* The socket may hold more whose event has passed already. */
static void read_on(struct front *f)
{
    if (f->stream.io.ready & IO_READABLE)
        loop_ready(loop_of(f), &f->again);
}

static void read_head(struct front *f)
{
    struct span in;
    enum rc rc = RC_OK;
    if (f->state == FRONT_HEAD) {
        /* More of a head that came in pieces: it is gathered in `in`, and looked at again when a line has ended. */
        size_t n;
        if (!(f->stream.io.ready & IO_READABLE))
            return;
        rc = stream_read(&f->stream, loop_of(f)->scratch, SCRATCH_BYTES, &n);
        if (rc == RC_OK) {
            bool line = memchr(loop_of(f)->scratch, '\n', n) != NULL;
            f->in.max = f->request->limits->head_bytes + SCRATCH_BYTES + 64 * 1024;
            if (buf_append(&f->in, slice_make(loop_of(f)->scratch, n)) != RC_OK) {
                refuse(f, RC_HEAD_LIMIT);
                return;
            }
            if (!line && buf_len(&f->in) < f->request->limits->head_bytes) {
                read_on(f);
                return;
            }
            rc = next_input(f, &in);
        }
    } else {
        rc = next_input(f, &in);
    }
    if (rc == RC_AGAIN)
        return;
    if (rc != RC_OK) {
        front_drop(f);
        return;
    }
    if (f->state == FRONT_IDLE)
        open_request(f);
    if (parse_head(f, &in))
        return;
    if (f->taken) {
        f->taken = 0;                   /* still in `in`, all of it */
    } else {
        f->ahead = in;
        stash(f);
    }
    front_register(f);
    read_on(f);
}

/* -- states before and after requests -- */

static void read_proxy_header(struct front *f)
{
    struct proxy_header header;
    size_t n, used;
    enum rc rc = stream_read(&f->stream, loop_of(f)->scratch, PROXY_HEADER_MAX, &n);
    if (rc == RC_AGAIN) {
        front_register(f);
        return;
    }
    f->in.max = 2 * PROXY_HEADER_MAX;
    if (rc != RC_OK || buf_append(&f->in, slice_make(loop_of(f)->scratch, n)) != RC_OK) {
        front_close(f);
        return;
    }
    if (n == PROXY_HEADER_MAX)
        f->stream.io.ready |= IO_READABLE;
    rc = proxy_header_parse(buf_slice(&f->in), &header, &used);
    if (rc == RC_AGAIN) {
        front_register(f);
        return;
    }
    if (rc != RC_OK) {
        log_info("front", "connection without a valid PROXY header closed");
        front_close(f);
        return;
    }
    if (header.has_peer && f->trust_proxy) {
        f->peer = header.peer;
        f->local_port = header.to_port;
    }
    buf_consume(&f->in, used);
    f->state = f->tls_next ? FRONT_HANDSHAKE : FRONT_IDLE;
}

static void shake_hands(struct front *f)
{
    enum rc rc = f->stream.ops->handshake(&f->stream);
    if (rc == RC_OK) {
        f->tls = stream_tls_facts(&f->stream);
        f->state = FRONT_IDLE;
        return;
    }
    front_register(f);
    if (rc != RC_AGAIN) {
        log_debug("front", "TLS handshake failed", "why", stream_tls_error(&f->stream));
        front_close(f);
    }
}

/* RFC 9112 section 9.6: a close with unread input makes the kernel reset the connection, and the client may lose the
 * response. So: say that we are done, and read on for a moment. */
static void start_linger(struct front *f)
{
    f->state = FRONT_LINGER;
    release_taken(f);
    buf_reset(&f->in);
    f->ahead = (struct span){ 0 };
    f->stream.ops->shut(&f->stream);
    front_register(f);
    front_arm(f, loop_of(f)->clock.now_ms + LINGER_MS);
    loop_ready(loop_of(f), &f->again);      /* what is there already gives no new edge */
}

static void linger(struct front *f)
{
    while (f->stream.io.ready & IO_READABLE) {
        size_t n;
        enum rc rc = stream_read(&f->stream, loop_of(f)->scratch, SCRATCH_BYTES, &n);
        if (rc == RC_AGAIN)
            return;
        if (rc != RC_OK || (f->lingered += (uint32_t)n) > LINGER_BYTES) {
            front_close(f);
            return;
        }
    }
}

static void front_run(struct front *f)
{
    if (f->state == FRONT_PROXY)
        read_proxy_header(f);
    if (f->state == FRONT_HANDSHAKE)
        shake_hands(f);
    switch ((enum front_state)f->state) {
    case FRONT_IDLE:
    case FRONT_HEAD: read_head(f); break;
    case FRONT_BUSY: f->set->events->wake(f->request); break;
    case FRONT_LINGER: linger(f); break;
    case FRONT_PROXY:
    case FRONT_HANDSHAKE:
    case FRONT_CLOSED: break;
    }
    if (f->state != FRONT_CLOSED)
        stash(f);
}

static void on_event(struct io *io) { front_run(LINK_OWNER(io, struct front, stream.io)); }
static void on_again(struct task *t) { front_run(LINK_OWNER(t, struct front, again)); }

static void on_deadline(struct deadline *d)
{
    struct front *f = LINK_OWNER(d, struct front, deadline);
    if (!f->stream.io.registered)
        front_register(f);
    if (f->due_ms > loop_of(f)->clock.now_ms) {
        loop_deadline(loop_of(f), d, f->due_ms);
        return;
    }
    switch ((enum front_state)f->state) {
    case FRONT_BUSY: f->set->events->timeout(f->request); break;
    case FRONT_HEAD: refuse(f, RC_CLIENT_SLOW); break;
    case FRONT_IDLE:
    case FRONT_PROXY:
    case FRONT_HANDSHAKE:
    case FRONT_LINGER: front_close(f); break;
    case FRONT_CLOSED: break;
    }
}

void fronts_accept(struct fronts *set, int fd, const struct sockaddr *peer, const struct front_start *start)
{
    struct front *f = freelist_take(&set->free);
    memset(f, 0, sizeof *f);
    f->set = set;
    stream_tcp_init(&f->stream, fd);
    f->stream.io.on_event = on_event;
    f->deadline.fire = on_deadline;
    f->again.run = on_again;
    f->peer = peer_of(peer);
    f->local_port = start->local_port;
    f->listener = (uint8_t)start->listener;
    f->trust_proxy = start->trust_proxy;
    f->tls_next = start->tls != NULL;
    f->state = start->proxy_protocol ? FRONT_PROXY : f->tls_next ? FRONT_HANDSHAKE : FRONT_IDLE;
    list_append(&set->all, &f->in_all);
    count_open(set, 1);
    set->accepted++;
    if (start->tls && !stream_tls_accept(&f->stream, start->tls)) {
        front_close(f);
        return;
    }
    front_arm(f, set->loop->clock.now_ms + set->head_ms);
    front_run(f);
}

void fronts_turn_away(struct fronts *set, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nRetry-After: 1\r\n"
                                 "Content-Type: text/plain\r\nConnection: close\r\n\r\n503 gateway is full.\n\n";
    if (set->turned_away >= TURNED_AWAY_MAX || send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        close(fd);
        return;
    }
    struct front *f = freelist_take(&set->free);
    memset(f, 0, sizeof *f);
    f->set = set;
    stream_tcp_init(&f->stream, fd);
    f->stream.io.on_event = on_event;
    f->deadline.fire = on_deadline;
    f->again.run = on_again;
    f->turned_away = true;
    list_append(&set->all, &f->in_all);
    set->turned_away++;
    start_linger(f);
}

void fronts_drain(struct fronts *set)
{
    set->draining = true;
    for (struct link *l = set->all.next, *next; l != &set->all; l = next) {
        struct front *f = LINK_OWNER(l, struct front, in_all);
        next = l->next;
        f->keep = false;
        if (f->state == FRONT_IDLE)
            front_arm(f, set->loop->clock.now_ms + DRAIN_IDLE_MS);
    }
}

void fronts_cut(struct fronts *set)
{
    for (struct link *l = set->all.next, *next; l != &set->all; l = next) {
        struct front *f = LINK_OWNER(l, struct front, in_all);
        next = l->next;
        if (f->state == FRONT_BUSY) {
            stream_abort(&f->stream);
            f->set->events->wake(f->request);
        } else {
            front_drop(f);
        }
    }
}

/* -- what the exchange asks -- */

static enum rc read_sized(struct front *f, struct request *r, const struct span *in, struct span *out)
{
    size_t n = in->len < f->body_left ? in->len : (size_t)f->body_left;
    give_back(f, in, in->len - n);
    f->body_left -= n;
    f->body_done = f->body_left == 0;
    *out = (struct span){ in->at, n, in->before, n == in->len ? in->after : 0 };
    r->bytes_in += n;
    return RC_OK;
}

static enum rc read_chunks(struct front *f, struct request *r, const struct span *in, struct span *out)
{
    struct slice rest;
    size_t n;
    enum rc rc = chunked_compact(&f->chunked, in->at, in->len, &n, &rest);
    if (rc != RC_OK && rc != RC_AGAIN && rc != RC_END)
        return rc;
    give_back(f, in, rest.len);
    f->body_done = rc == RC_END;
    r->bytes_in += n;
    if (r->limits->body_bytes && r->bytes_in > r->limits->body_bytes)
        return RC_BODY_LIMIT;
    *out = (struct span){ in->at, n, in->before, in->len - n - rest.len + (rest.len ? 0 : in->after) };
    return n || f->body_done ? RC_OK : RC_AGAIN;
}

static enum rc op_read_body(struct request *r, struct span *out, bool *last)
{
    struct front *f = r->front;
    enum rc rc = RC_OK;
    *out = (struct span){ 0 };
    while (!f->body_done) {
        struct span in;
        rc = next_input(f, &in);
        if (rc != RC_OK)
            return rc == RC_AGAIN ? rc : RC_CLIENT_GONE;
        rc = r->body == BODY_SIZED ? read_sized(f, r, &in, out) : read_chunks(f, r, &in, out);
        if (rc != RC_AGAIN)             /* chunk framing alone is not the end of the input */
            break;
    }
    *last = f->body_done;
    return rc;
}

static void op_send_interim(struct request *r, const struct response *p)
{
    struct front *f = r->front;
    struct out o = { loop_of(f)->render, loop_of(f)->render + RENDER_BYTES, false };
    if (f->old)
        return;                         /* RFC 9110 section 15.2 */
    h1_write_response(&o, p, false, CONNECTION_NONE, SLICE_NONE);
    if (!o.full)                        /* a client that is gone is noticed with the final response */
        (void)write_out(f, slice_make(loop_of(f)->render, (size_t)(o.at - loop_of(f)->render)));
}

static bool has_room(struct span body, size_t before, size_t after)
{
    return body.len && body.before >= before && body.after >= after;
}

/* head (a view of the loop's render buffer), body and framing leave in one write where there is room around the
 * body. */
static enum rc write_framed(struct front *f, struct slice head, struct span body, bool last)
{
    size_t chunk = f->chunk_out ? CHUNK_BEFORE : 0, tail = f->chunk_out ? CHUNK_AFTER : 0;
    if (has_room(body, head.len + chunk, tail)) {
        char *start = body.at, *end = body.at + body.len;
        if (f->chunk_out) {
            start = h1_write_chunk_size(start, body.len);
            memcpy(end, "\r\n0\r\n\r\n", 7);
            end += last ? 7 : 2;
        }
        if (head.len)
            memcpy(start -= head.len, head.at, head.len);
        return write_out(f, slice_make(start, (size_t)(end - start)));
    }
    char *base = loop_of(f)->render;
    struct out o = { base + head.len, base + RENDER_BYTES, false };
    char size[CHUNK_BEFORE];
    if (body.len && f->chunk_out) {
        char *at = h1_write_chunk_size(size + CHUNK_BEFORE, body.len);
        out_put(&o, slice_make(at, (size_t)(size + CHUNK_BEFORE - at)));
    }
    enum rc rc = RC_OK;
    if (body.len > (size_t)(o.end - o.at) - CHUNK_AFTER) {
        rc = write_out(f, slice_make(base, (size_t)(o.at - base)));
        if (rc == RC_OK || rc == RC_AGAIN)
            rc = write_out(f, slice_make(body.at, body.len));
        if (rc != RC_OK && rc != RC_AGAIN)
            return rc;
        o.at = base;
    } else if (body.len) {
        out_put(&o, slice_make(body.at, body.len));
    }
    if (f->chunk_out && body.len)
        out_put(&o, SLICE_OF("\r\n"));
    if (f->chunk_out && last)
        out_put(&o, SLICE_OF("0\r\n\r\n"));
    return o.at == base ? rc : write_out(f, slice_make(base, (size_t)(o.at - base)));
}

static enum rc op_send_head(struct request *r, struct response *p, struct span body, bool last)
{
    struct front *f = r->front;
    enum connection_word word = CONNECTION_NONE;
    bool bodiless = r->method == METHOD_HEAD || p->status == 204 || p->status == 304;
    f->chunk_out = (p->body == BODY_STREAMED || p->body == BODY_TO_CLOSE) && !f->old && !bodiless;
    if (f->old && (p->body == BODY_STREAMED || p->body == BODY_TO_CLOSE) && !bodiless)
        f->keep = false;
    if (p->close || f->set->draining)
        f->keep = false;
    if (p->status == 101)
        word = CONNECTION_UPGRADE;
    else if (!f->keep)
        word = CONNECTION_CLOSE;
    else if (f->old)
        word = CONNECTION_KEEP_ALIVE;
    struct loop *loop = loop_of(f);
    struct out o = { loop->render, loop->render + RENDER_BYTES, false };
    h1_write_response(&o, p, f->chunk_out, word, clock_date(&loop->clock));
    if (o.full)
        return RC_CLIENT_GONE;          /* the limits on heads are far below: cannot be */
    f->head_sent = true;
    if (bodiless)
        body.len = 0;
    return write_framed(f, slice_make(loop->render, (size_t)(o.at - loop->render)), body, last);
}

static enum rc op_send_body(struct request *r, struct span body, bool last)
{
    struct front *f = r->front;
    if (!body.len && !(last && f->chunk_out))
        return buf_len(&f->out) ? RC_AGAIN : RC_OK;
    return write_framed(f, slice_make(loop_of(f)->render, 0), body, last);
}

static void op_finish(struct request *r, bool complete)
{
    struct front *f = r->front;
    f->request = NULL;
    if (!complete || f->stream.io.fd < 0) {
        stream_abort(&f->stream);
        front_close(f);
        return;
    }
    if (!f->body_done) {
        start_linger(f);
        return;
    }
    if (!f->keep) {
        if (f->stream.io.ready & IO_READABLE)
            start_linger(f);
        else
            front_close(f);
        return;
    }
    release_taken(f);
    f->state = FRONT_IDLE;
    front_register(f);
    front_arm(f, loop_of(f)->clock.now_ms + f->set->idle_ms);
    /* A task, not a call: pipelined requests must not nest. */
    if (buf_len(&f->in) || f->ahead.len || (f->stream.io.ready & IO_READABLE))
        loop_ready(loop_of(f), &f->again);
}

static enum rc op_check(const struct request *r)
{
    const struct front *f = r->front;
    if (f->stream.io.fd < 0 || (f->stream.io.ready & IO_ERROR))
        return RC_CLIENT_GONE;
    return f->stream.io.ready & IO_HUP ? RC_END : RC_OK;
}

static void op_arm(struct request *r, uint64_t due_ms)
{
    struct front *f = r->front;
    front_arm(f, due_ms);
}

static struct stream *op_raw(struct request *r)
{
    struct front *f = r->front;
    front_register(f);
    return buf_len(&f->out) ? NULL : &f->stream;
}

static struct slice op_detach(struct request *r)
{
    struct front *f = r->front;
    f->body_done = true;
    f->keep = false;
    release_taken(f);
    stash(f);
    front_register(f);
    struct slice early = arena_copy(&r->arena, buf_slice(&f->in));
    buf_reset(&f->in);
    return early;
}

static const struct front_ops ops = {
    .read_body = op_read_body,
    .send_interim = op_send_interim,
    .send_head = op_send_head,
    .send_body = op_send_body,
    .flush = op_flush,
    .check = op_check,
    .finish = op_finish,
    .arm = op_arm,
    .raw = op_raw,
    .detach = op_detach,
};
