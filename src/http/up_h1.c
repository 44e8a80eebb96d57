#include "http/up_h1.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/log.h"
#include "http/h1_hop.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "net/stream_tls.h"

enum { OUT_MAX = SCRATCH_BEFORE + SCRATCH_BYTES + RENDER_BYTES, CHUNK_BEFORE = 18, CHUNK_AFTER = 7 };

static void on_event(struct io *io)
{
    struct up *u = LINK_OWNER(io, struct up, stream.io);
    u->on_wake(u);
}

struct up *up_connect(struct loop *loop, struct freelist *home, const struct addr *to, struct tls_context *tls,
                      const char *server_name)
{
    int on = 1;
    int fd = socket(to->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (to->u.any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);     /* only slower without */
    int rc = connect(fd, &to->u.any, to->len);
    if (rc < 0 && errno != EINPROGRESS) {
        int why = errno;
        close(fd);
        errno = why;
        return NULL;
    }
    struct up *u = freelist_take(home);
    memset(u, 0, sizeof *u);
    stream_tcp_init(&u->stream, fd);
    u->stream.io.ready = 0;
    u->stream.io.on_event = on_event;
    u->loop = loop;
    u->home = home;
    u->born_ms = loop->clock.now_ms;
    u->connecting = rc < 0;
    u->shaking = tls != NULL;
    u->in.max = UP_HEAD_BYTES + SCRATCH_BYTES;
    u->out.max = OUT_MAX;
    if (!u->connecting)
        u->stream.io.ready = IO_WRITABLE;
    if ((tls && !stream_tls_connect(&u->stream, tls, server_name)) || !loop_add(loop, &u->stream.io)) {
        up_close(u);
        errno = ENOMEM;
        return NULL;
    }
    return u;
}

static enum rc connect_result(struct up *u)
{
    int why = 0;
    socklen_t len = sizeof why;
    if (!(u->stream.io.ready & (IO_WRITABLE | IO_ERROR | IO_HUP)))
        return RC_AGAIN;
    if (getsockopt(u->stream.io.fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
        why = errno;
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
            log_warn("upstream", "TLS handshake failed", "why", stream_tls_error(&u->stream));
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

void up_close(struct up *u)
{
    stream_close(&u->stream);
    link_remove(&u->in_pool);
    buf_reset(&u->in);
    buf_reset(&u->out);
    loop_bury(u->loop, &u->grave, bury);
}

/* -- sending -- */

static enum rc write_out(struct up *u, struct slice bytes)
{
    size_t n = 0;
    if (buf_len(&u->out) == 0) {
        enum rc rc = stream_write(&u->stream, bytes, &n);
        if (rc != RC_OK && rc != RC_AGAIN)
            return RC_RESET;
        u->sent += n;
    }
    if (n == bytes.len)
        return RC_OK;
    return buf_append(&u->out, slice_from(bytes, n)) == RC_OK ? RC_AGAIN : RC_RESET;
}

enum rc up_flush(struct up *u)
{
    while (buf_len(&u->out)) {
        size_t n;
        if (!(u->stream.io.ready & IO_WRITABLE))
            return RC_AGAIN;
        enum rc rc = stream_write(&u->stream, buf_slice(&u->out), &n);
        if (rc == RC_AGAIN)
            return RC_AGAIN;
        if (rc != RC_OK)
            return RC_RESET;
        u->sent += n;
        buf_consume(&u->out, n);
    }
    return RC_OK;
}

/* Puts head (in the render buffer), chunk framing and body into one write where the room around the body allows. */
static enum rc write_framed(struct up *u, struct slice head, struct span body, bool last)
{
    bool chunk = u->chunk_out && body.len;
    struct slice tail = !u->chunk_out ? SLICE_NONE : SLICE_OF("\r\n0\r\n\r\n");
    if (u->chunk_out && !body.len)
        tail = last ? SLICE_OF("0\r\n\r\n") : SLICE_NONE;
    else if (u->chunk_out && !last)
        tail.len = 2;
    if (body.len && body.before >= head.len + CHUNK_BEFORE && body.after >= tail.len) {
        char *start = chunk ? h1_write_chunk_size(body.at, body.len) : body.at, *end = body.at + body.len;
        if (tail.len)
            memcpy(end, tail.at, tail.len);
        if (head.len)
            memcpy(start -= head.len, head.at, head.len);
        return write_out(u, slice_make(start, (size_t)(end - start) + tail.len));
    }
    char *base = u->loop->render, size[CHUNK_BEFORE];
    struct out o = { base + head.len, base + RENDER_BYTES, false };
    if (chunk) {
        char *at = h1_write_chunk_size(size + CHUNK_BEFORE, body.len);
        out_put(&o, slice_make(at, (size_t)(size + CHUNK_BEFORE - at)));
    }
    enum rc rc = RC_OK;
    if (body.len > (size_t)(o.end - o.at) - CHUNK_AFTER) {
        if (o.at > base)
            rc = write_out(u, slice_make(base, (size_t)(o.at - base)));
        if (rc == RC_OK || rc == RC_AGAIN)
            rc = write_out(u, slice_make(body.at, body.len));
        if (rc != RC_OK && rc != RC_AGAIN)
            return rc;
        o.at = base;
    } else if (body.len) {
        out_put(&o, slice_make(body.at, body.len));
    }
    out_put(&o, tail);
    return o.at == base ? rc : write_out(u, slice_make(base, (size_t)(o.at - base)));
}

enum rc up_send_head(struct up *u, const struct request *r, struct span body, bool last)
{
    struct out o = { u->loop->render, u->loop->render + RENDER_BYTES, false };
    h1_write_request(&o, r);
    if (o.full)
        return RC_RESET;                /* the limits on heads are far below: cannot be */
    u->sent_before = u->sent;
    u->requests++;
    u->request_done = last;
    u->head_done = u->response_done = u->got_bytes = false;
    u->chunk_out = r->body == BODY_STREAMED;
    u->chunked = (struct chunked){ 0 };
    return write_framed(u, slice_make(u->loop->render, (size_t)(o.at - u->loop->render)), body, last);
}

enum rc up_send_body(struct up *u, struct span body, bool last)
{
    u->request_done = last;
    if (!body.len && !(last && u->chunk_out))
        return buf_len(&u->out) ? RC_AGAIN : RC_OK;
    return write_framed(u, slice_make(u->loop->render, 0), body, last);
}

/* -- receiving -- */

static void release_taken(struct up *u)
{
    if (u->taken)
        buf_consume(&u->in, u->taken);
    u->taken = 0;
}

void up_settle(struct up *u)
{
    if (u->ahead.len && buf_append(&u->in, slice_make(u->ahead.at, u->ahead.len)) != RC_OK)
        u->keep = false;                /* one scratch at most: cannot be */
    u->ahead = (struct span){ 0 };
}

static enum rc next_input(struct up *u, struct span *out)
{
    release_taken(u);
    if (u->ahead.len) {
        *out = u->ahead;
        u->ahead = (struct span){ 0 };
        return RC_OK;
    }
    if (buf_len(&u->in)) {
        struct slice s = buf_slice(&u->in);
        *out = (struct span){ u->in.at + u->in.start, s.len, u->in.start, u->in.cap - u->in.end };
        u->taken = (uint32_t)s.len;
        return RC_OK;
    }
    if (!(u->stream.io.ready & IO_READABLE))
        return RC_AGAIN;
    size_t n;
    enum rc rc = stream_read(&u->stream, u->loop->scratch, SCRATCH_BYTES, &n);
    if (rc == RC_OK) {
        *out = (struct span){ u->loop->scratch, n, SCRATCH_BEFORE, SCRATCH_BYTES - n + SCRATCH_AFTER };
        u->got_bytes = true;
    }
    return rc;
}

static void give_back(struct up *u, const struct span *in, size_t n)
{
    if (n == 0)
        return;
    if (u->taken)
        u->taken -= (uint32_t)n;
    else
        u->ahead = (struct span){ in->at + in->len - n, n, in->before + in->len - n, in->after };
}

struct framing { unsigned lengths, codings; bool close, keep_alive, named, bad; };

static void read_field(struct header *h, struct response *p, struct framing *seen)
{
    struct slice list = h->value, member;
    switch (h->id) {
    case HEADER_CONTENT_LENGTH:
        seen->bad |= ++seen->lengths > 1 || !slice_to_u64(h->value, INT64_MAX, &p->body_bytes);
        break;
    case HEADER_TRANSFER_ENCODING:
        h->skip = true;
        seen->bad |= ++seen->codings > 1 || !slice_equal_nocase(h->value, SLICE_OF("chunked"));
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
    default: h->skip |= h1_is_hop_by_hop(h->id); break;
    }
}

/* RFC 9112 section 6.3, in its order; what contradicts itself is refused. */
static enum rc read_framing(struct up *u, const struct request *r, const struct h1_head *head, struct response *p)
{
    struct framing seen = { 0 };
    for (uint32_t i = 0; i < p->headers.count; i++)
        if (p->headers.at[i].id != HEADER_UNKNOWN)
            read_field(&p->headers.at[i], p, &seen);
    for (uint32_t i = 0; seen.named && i < p->headers.count; i++)
        if (p->headers.at[i].id == HEADER_CONNECTION)
            h1_skip_named(&p->headers, p->headers.at[i].value);
    bool old = head->minor == 0;
    if (seen.bad || (seen.lengths && seen.codings) || (seen.codings && old))
        return RC_UPSTREAM_BAD;
    u->keep = old ? seen.keep_alive && !seen.close : !seen.close;
    if (p->status < 200) {
        p->body = BODY_NONE;
        return seen.lengths || seen.codings ? RC_UPSTREAM_BAD : RC_OK;     /* section 6.1 and 6.2: must not be there */
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
    u->response_done = u->body == BODY_NONE || (u->body == BODY_SIZED && u->body_left == 0);
    return RC_OK;
}

/* More of a head that came in pieces goes behind what is there. */
static enum rc read_more(struct up *u)
{
    size_t n;
    if (!(u->stream.io.ready & IO_READABLE))
        return RC_AGAIN;
    enum rc rc = stream_read(&u->stream, u->loop->scratch, SCRATCH_BYTES, &n);
    if (rc != RC_OK)
        return rc == RC_AGAIN ? rc : RC_RESET;
    return buf_append(&u->in, slice_make(u->loop->scratch, n)) == RC_OK ? RC_OK : RC_UPSTREAM_BAD;
}

enum rc up_read_head(struct up *u, struct request *r, struct response *p)
{
    static const struct h1_limits limits = { UP_HEAD_BYTES, UP_HEADERS, 0 };
    struct h1_head head = { 0 };
    struct span in;
    enum rc rc = next_input(u, &in);
    if (rc != RC_OK)
        return rc == RC_EOF && !u->got_bytes ? RC_EOF : rc == RC_AGAIN ? rc : RC_RESET;
    for (;;) {
        headers_clear(&p->headers);
        rc = h1_parse_response(slice_make(in.at, in.len), &limits, &r->arena, &head, &p->headers);
        if (rc == RC_OK)
            break;
        if (rc != RC_AGAIN)
            return RC_UPSTREAM_BAD;
        if (!u->taken) {
            u->ahead = in;
            up_settle(u);
        }
        u->taken = 0;
        rc = read_more(u);
        if (rc != RC_OK)
            return rc;
        (void)next_input(u, &in);       /* what was just put there */
    }
    if (u->taken) {                     /* the next call frees it */
        struct slice copy = arena_copy(&r->arena, slice_make(in.at, head.bytes));
        h1_head_move(&head, &p->headers, in.at, (char *)(uintptr_t)copy.at);
    }
    give_back(u, &in, in.len - head.bytes);
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
        return RC_UPSTREAM_BAD;
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
        rc = next_input(u, &in);
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

bool up_is_reusable(struct up *u)
{
    char byte;
    size_t n;
    if (!u->keep || !u->request_done || !u->response_done || buf_len(&u->out) || u->ahead.len ||
        buf_len(&u->in) != u->taken || (u->stream.io.ready & (IO_HUP | IO_ERROR)))
        return false;
    /* A read that ended exactly where the body did, or a splice, does not know whether more is there. */
    return !(u->stream.io.ready & IO_READABLE) || stream_read(&u->stream, &byte, 1, &n) == RC_AGAIN;
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
