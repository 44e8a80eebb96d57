#include "http/up_h1.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

#include "http/h1_hop.h"
#include "http/h1_parse.h"
#include "http/h1_trailers.h"
#include "http/keep_alive.h"
#include "net/dial.h"
#include "net/stream_tls.h"

enum { ALONE_BYTES = 4096 };    /* most heads are smaller, and so are the bodies of which a pipe makes nothing */

static void on_event(struct io *io)
{
    struct up *u = LINK_OWNER(io, struct up, stream.io);
    u->on_wake(u);
}

static struct up *make(struct loop *loop, struct freelist *home)
{
    struct up *u = freelist_take(home, sizeof *u);
    u->loop = loop;
    u->home = home;
    h1_input_init(&u->input, &u->stream, loop, UP_HEAD_BYTES + SCRATCH_BYTES);
    h1_output_init(&u->output, &u->stream, loop, &u->sent);
    u->trailers.max = H1_TRAILERS_MAX;
    return u;
}

struct up *up_connect(struct loop *loop, struct freelist *home, const struct addr *to, struct tls_context *tls,
                      const char *server_name)
{
    struct up *u = make(loop, home);
    int why = dial(loop, &u->stream, to, tls ? DIAL_HTTPS : DIAL_HTTP);
    if (why && why != EINPROGRESS) {
        freelist_give(home, u);
        errno = why;
        return NULL;
    }
    if (u->stream.wire)
        tls = NULL;
    u->stream.io.on_event = on_event;
    u->born_ms = loop->clock.now_ms;
    u->connecting = why != 0;
    u->shaking = tls != NULL;
    if ((tls && !stream_tls_connect(&u->stream, tls, server_name)) || !loop_add(loop, &u->stream.io)) {
        up_close(u);
        errno = ENOMEM;
        return NULL;
    }
    return u;
}

static enum rc connect_result(struct up *u)
{
    if (up_is_unanswered(u))
        return RC_AGAIN;
    int why = dial_result(&u->stream);
    u->connecting = false;
    return why == 0 ? RC_OK : why == ECONNREFUSED || why == ENOENT ? RC_REFUSED : RC_UNREACHABLE;
}

enum rc up_check(struct up *u)
{
    if (u->connecting) {
        enum rc rc = connect_result(u);
        if (rc != RC_OK)
            return rc;
    }
    if (u->shaking) {
        enum rc rc = u->stream.ops->handshake(&u->stream);
        if (rc == RC_AGAIN)
            return rc;
        if (rc != RC_OK) {
            u->why = stream_tls_error(&u->stream);
            return RC_UPSTREAM_TLS;
        }
        u->shaking = false;
    }
    return RC_OK;
}

static void bury(struct grave *g)
{
    struct up *u = LINK_OWNER(g, struct up, grave);
    freelist_give(u->home, u);
}

static void give_up_memory(struct up *u)
{
    link_remove(&u->in_pool);
    h1_input_reset(&u->input);
    buf_reset(&u->output.kept);
    buf_reset(&u->trailers);
    loop_bury(u->loop, &u->grave, bury);
}

void up_close(struct up *u)
{
    stream_close(&u->stream);
    if (u->on_end)
        u->on_end(u);
    give_up_memory(u);
}

/* -- from loop to loop -- */

void up_pack(struct up *u, struct up_parcel *out)
{
    *out = (struct up_parcel){ u->stream, u->on_end, u->counted_by, u->born_ms, u->sent, u->requests,
                                u->requests_max };
    loop_remove(u->loop, &u->stream.io);
    out->stream.io.registered = false;
    give_up_memory(u);
}

struct up *up_unpack(const struct up_parcel *p, struct loop *loop, struct freelist *home)
{
    struct up *u = make(loop, home);
    u->stream = p->stream;
    u->stream.io.on_event = on_event;
    u->born_ms = p->born_ms;
    u->sent = p->sent;
    u->requests = p->requests;
    u->requests_max = p->requests_max;
    if (u->stream.tls)
        stream_tls_moved(&u->stream);
    if (!loop_add(loop, &u->stream.io)) {
        up_close(u);
        return NULL;
    }
    u->on_end = p->on_end;
    u->counted_by = p->counted_by;
    return u;
}

/* -- sending -- */

enum rc up_flush(struct up *u) { return h1_output_flush(&u->output); }

enum rc up_send_head(struct up *u, const struct request *r, struct span body, bool last)
{
    struct out o = h1_output_head(&u->output);
    h1_write_request(&o, r);
    if (o.full)
        return RC_RESET;                /* the limits on heads are far below: cannot be */
    u->sent_before = u->sent;
    u->requests++;
    u->request_done = last;
    u->head_done = u->response_done = u->got_bytes = u->head_begun = false;
    u->output.chunked = r->sent_body == BODY_STREAMED;
    u->output.trailers = &r->trailers;
    u->chunked = (struct chunked){ .trailers = &u->trailers };
    buf_reset(&u->trailers);
    return h1_output_send(&u->output, h1_output_rendered(&u->output, &o), &body, last);
}

enum rc up_send_body(struct up *u, struct span body, bool last)
{
    u->request_done = last;
    return h1_output_body(&u->output, body, last);
}

/* -- receiving -- */

void up_settle(struct up *u)
{
    if (h1_input_settle(&u->input) != RC_OK)
        u->keep = false;                /* one scratch at most: cannot be */
}

struct slice up_detach(struct up *u, struct arena *a) { return h1_input_detach(&u->input, a); }

struct framing {
    const char *bad;                    /* in words; NULL: nothing */
    unsigned lengths, codings;
    bool close, keep_alive, named;
};

static enum rc refuse(struct up *u, const char *why)
{
    u->why = why;
    return RC_UPSTREAM_BAD;
}

/* Some count the requests that are left, some all of the connection: the lesser is meant. */
static void believe(struct up *u, struct keep_alive said)
{
    uint32_t all = u->requests + (said.max ? said.max - 1 : 0);
    if (said.idle_ms)
        u->keep_ms = said.idle_ms;
    if (said.has_max && (!u->requests_max || all < u->requests_max))
        u->requests_max = all;
}

static void read_field(struct up *u, struct header *h, struct response *p, struct framing *seen)
{
    struct slice list = h->value, member;
    switch (h->id) {
    case HEADER_CONTENT_LENGTH:
        if (++seen->lengths > 1)
            seen->bad = "two Content-Length fields";
        else if (!slice_to_u64(h->value, INT64_MAX, &p->body_bytes))
            seen->bad = "a Content-Length that is no number";
        break;
    case HEADER_TRANSFER_ENCODING:
        h->skip = true;
        if (++seen->codings > 1)
            seen->bad = "two Transfer-Encoding fields";
        else if (!slice_equal_nocase(h->value, SLICE_OF("chunked")))
            seen->bad = "a Transfer-Encoding other than chunked";
        break;
    case HEADER_CONNECTION:
        h->skip = true;
        while (slice_next_member(&list, &member)) {
            if (slice_equal_nocase(member, SLICE_OF("close")))
                seen->close = true;
            else if (slice_equal_nocase(member, SLICE_OF("keep-alive")))
                seen->keep_alive = true;
            else
                seen->named = true;
        }
        break;
    case HEADER_KEEP_ALIVE:
        h->skip = true;
        believe(u, keep_alive_read(h->value));
        break;
    default: h->skip = true; break;
    }
}

/* RFC 9112 section 6.3, in its order; what contradicts itself is refused. */
static enum rc read_framing(struct up *u, const struct request *r, const struct h1_head *head, struct response *p)
{
    struct framing seen = { 0 };
    for (struct header *h = p->headers.at, *end = h + p->headers.count; h < end; h++)
        if ((h1_hop_by_hop | 1ull << HEADER_CONTENT_LENGTH) >> h->id & 1)
            read_field(u, h, p, &seen);
    for (uint32_t i = 0; seen.named && i < p->headers.count; i++)
        if (p->headers.at[i].id == HEADER_CONNECTION)
            h1_skip_named(&p->headers, p->headers.at[i].value);
    bool old = head->minor == 0;
    if (seen.bad)
        return refuse(u, seen.bad);
    if (seen.lengths && seen.codings)
        return refuse(u, "Content-Length and Transfer-Encoding");
    if (seen.codings && old)
        return refuse(u, "Transfer-Encoding in HTTP/1.0");
    u->keep = old ? seen.keep_alive && !seen.close : !seen.close;
    if (p->status < 200) {
        p->body = BODY_NONE;            /* section 6.1 and 6.2: the fields must not be there */
        return seen.lengths || seen.codings ? refuse(u, "a 1xx response with a body") : RC_OK;
    }
    if (seen.codings)
        p->body = BODY_STREAMED;
    else if (seen.lengths)
        p->body = BODY_SIZED;
    else
        p->body = BODY_TO_CLOSE;
    u->body = p->body;
    u->body_left = p->body == BODY_SIZED ? p->body_bytes : 0;
    if (r->method == METHOD_HEAD || p->status == 204 || p->status == 304) {
        if (p->body == BODY_TO_CLOSE || p->status == 204)
            p->body = BODY_NONE;
        if (p->body == BODY_NONE && seen.lengths)
            p->headers.at[p->headers.first[HEADER_CONTENT_LENGTH] - 1].skip = true;     /* RFC 9110 section 8.6 */
        u->body = BODY_NONE;
    }
    if (u->body == BODY_TO_CLOSE)
        u->keep = false;
    u->head_done = true;
    u->large = u->body == BODY_SIZED && u->body_left >= UP_LARGE;
    u->response_done = u->body == BODY_NONE || (u->body == BODY_SIZED && u->body_left == 0);
    return RC_OK;
}

static const char HEAD_TOO_LARGE[] = "a head over 64 KiB or 256 fields";
_Static_assert(UP_HEAD_BYTES == 64 * 1024 && UP_HEADERS == 256, "as these words say");

/* More of a head that came in pieces goes behind what is there, until a line has ended: a head that drips in is not
 * looked at again for every byte. */
static enum rc read_more(struct up *u)
{
    struct slice fresh;
    enum rc rc;
    do
        rc = h1_input_read_more(&u->input, &fresh);
    while (rc == RC_OK && !memchr(fresh.at, '\n', fresh.len) && buf_len(&u->input.aside) < UP_HEAD_BYTES);
    return rc == RC_OK || rc == RC_AGAIN ? rc : rc == RC_LIMIT ? refuse(u, HEAD_TOO_LARGE) : RC_RESET;
}

enum { TLS_ALERT = 21, TLS_HANDSHAKE = 22 };    /* first bytes of records, RFC 8446 section 5.1 */

/* in: a head that is not RC_OK; at: up to what is wrong with it. */
static const char *why_no_head(enum rc rc, struct slice in, size_t at)
{
    if (rc == RC_HEAD_LIMIT)
        return HEAD_TOO_LARGE;
    if (rc == RC_VERSION)
        return "no HTTP/1 response";
    if (memchr(in.at, '\n', at) || in.at[at] == '\n')
        return h1_parse_why(in, at);
    bool is_tls = at == 0 && (in.at[0] == TLS_ALERT || in.at[0] == TLS_HANDSHAKE);
    return is_tls ? "TLS where plain HTTP was expected" : "malformed status line";
}

enum rc up_read_head(struct up *u, struct request *r, struct response *p, bool alone)
{
    static const struct h1_limits limits = { UP_HEAD_BYTES, UP_HEADERS, 0 };
    struct h1_head head = { 0 };
    struct span in;
    for (;;) {
        enum rc rc = u->head_begun ? read_more(u) : RC_OK;
        if (rc != RC_OK)
            return rc;
        rc = h1_input_next_of(&u->input, alone ? ALONE_BYTES : SCRATCH_BYTES, &in);
        if (rc != RC_OK)
            return rc == RC_EOF && !u->got_bytes ? RC_EOF : rc == RC_AGAIN ? rc : RC_RESET;
        u->got_bytes = true;
        headers_clear(&p->headers);
        rc = h1_parse_response(slice_make(in.at, in.len), &limits, &r->arena, &head, &p->headers);
        if (rc == RC_OK)
            break;
        if (rc != RC_AGAIN)
            return refuse(u, why_no_head(rc, slice_make(in.at, in.len), head.bytes));
        u->head_begun = true;
        h1_input_give_back(&u->input, &in, in.len);
        up_settle(u);
    }
    u->head_begun = false;
    if (u->input.taken) {                  /* the next call frees it */
        struct slice copy = arena_copy(&r->arena, slice_make(in.at, head.bytes));
        h1_head_move(&head, &p->headers, in.at, (char *)(uintptr_t)copy.at);
    }
    h1_input_give_back(&u->input, &in, in.len - head.bytes);
    p->status = head.status;
    p->reason = head.reason;
    return read_framing(u, r, &head, p);
}

static enum rc read_chunks(struct up *u, const struct span *in, struct span *out)
{
    struct slice rest;
    size_t n;
    enum rc rc = chunked_compact(&u->chunked, in->at, in->len, &n, &rest);
    if (rc != RC_OK && rc != RC_AGAIN && rc != RC_END)
        return refuse(u, "a malformed chunk or trailer");
    u->response_done = rc == RC_END;
    if (rest.len)
        u->keep = false;                /* bytes after the response: the connection cannot be trusted any more */
    *out = (struct span){ in->at, n, in->before, in->len - n + in->after };
    return n || u->response_done ? RC_OK : RC_AGAIN;
}

enum rc up_read_body(struct up *u, struct span *out, bool *last)
{
    enum rc rc = RC_OK;
    *out = (struct span){ 0 };
    while (!u->response_done) {
        struct span in;
        rc = h1_input_next(&u->input, &in);
        if (rc == RC_EOF && u->body == BODY_TO_CLOSE) {
            u->response_done = true;
            rc = RC_OK;
            break;
        }
        if (rc != RC_OK)
            return rc == RC_AGAIN ? rc : RC_RESET;
        if (u->body == BODY_STREAMED) {
            rc = read_chunks(u, &in, out);
            if (rc == RC_AGAIN)
                continue;               /* framing alone is not the end of the input */
            break;
        }
        *out = in;
        if (u->body == BODY_SIZED) {
            if (in.len > u->body_left) {
                u->keep = false;
                out->len = (size_t)u->body_left;
            }
            u->body_left -= out->len;
            u->response_done = u->body_left == 0;
        }
        break;
    }
    *last = u->response_done;
    return rc;
}

/* Not inlined, because it is rare and takes room on the stack. */
__attribute__((noinline)) static bool has_nothing_to_read(struct up *u)
{
    char byte;
    size_t n;
    return stream_read(&u->stream, &byte, 1, &n) == RC_AGAIN;
}

bool up_is_reusable(struct up *u)
{
    if (!u->keep || !u->request_done || !u->response_done || buf_len(&u->output.kept) || up_has_bytes(u) ||
        (u->stream.io.ready & (IO_HUP | IO_ERROR)))
        return false;
    /* A read that ended exactly where the body did, or a splice, does not know whether more is there. */
    return !(u->stream.io.ready & IO_READABLE) || has_nothing_to_read(u);
}

bool up_sent_nothing(const struct up *u)
{
    if (u->sent == u->sent_before)
        return true;
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (u->stream.tls || u->stream.io.fd < 0 ||
        getsockopt(u->stream.io.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return false;
    /* The SYN counts as one acknowledged byte. */
    return info.tcpi_bytes_acked <= u->sent_before + 1;
}
