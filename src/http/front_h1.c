#include "http/front_h1.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_limit.h"
#include "http/h1_chunked.h"
#include "http/h1_trailers.h"
#include "http/h1_input.h"
#include "http/h1_output.h"
#include "http/h1_server_head.h"
#include "net/stream_memory.h"

enum {
    BEHIND_HEAD = SCRATCH_BYTES + 64 * 1024,    /* bytes that may be put aside, a head not counted */
    SMALL_BYTES = 1024,         /* a head and what came with it: small enough to be copied as a whole */
    LINGER_MS = 2000,           /* how long a refused client may go on sending before it is cut */
    LINGER_BYTES = 1 << 20,
    DRAIN_IDLE_MS = 500,        /* a request may be on its way to an idle connection: it is still answered */
    LATE_MS = 10,               /* a connection that is done by then never enters the epoll set */
    TURNED_AWAY_MAX = 256,      /* connections over the limit that may linger to read their 503 */
};

enum front_state { FRONT_GREETING, FRONT_IDLE, FRONT_HEAD, FRONT_BUSY, FRONT_PIPE, FRONT_LINGER, FRONT_CLOSED };

struct front {
    struct stream stream;
    struct fronts *set;
    struct request *request;            /* from the first byte of its head to finish */
    struct pipe_end *pipe;              /* in place of the request, in FRONT_PIPE */
    struct deadline deadline;
    uint64_t due_ms;                    /* the wished deadline, when an earlier one is set to register late */
    struct task again;                  /* pipelined bytes wait in `in` */
    struct link in_all;                 /* fronts.all */
    struct grave grave;
    struct h1_input input;
    struct h1_output output;
    struct greeting greeting;           /* who is there */
    uint32_t requests;
    uint64_t body_left;                 /* of a sized body */
    uint32_t lingered;
    struct chunked chunked;
    struct buf trailers;                /* of the request, as they come */
    struct tls_facts tls;               /* all NULL without TLS */
    uint8_t peer_text_len, port_text_len;       /* 0: not printed yet */
    char peer_text[46], port_text[5];
    uint8_t listener;
    uint8_t state;                      /* enum front_state */
    bool keep;                          /* the connection survives the current response */
    bool body_done;                     /* the request's body was read to its end */
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
    h1_input_reset(&f->input);
    buf_reset(&f->output.kept);
    buf_reset(&f->trailers);
    greeting_end(&f->greeting);
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

/* Bytes that were read ahead leave the scratch: others will read into it. */
static void stash(struct front *f)
{
    if (h1_input_settle(&f->input) != RC_OK)
        log_error("front", "input over its bound");     /* one scratch at most was read ahead: cannot be */
}

/* What a write came to, as the exchange is told. */
static enum rc written(struct front *f, enum rc rc)
{
    if (rc == RC_AGAIN)
        front_register(f);
    return rc == RC_OK || rc == RC_AGAIN ? rc : RC_CLIENT_GONE;
}

/* -- reading a head -- */

static enum rc accept_head(struct front *f, struct request *r, const struct h1_head *head, const char **why)
{
    bool keep;
    enum rc rc = h1_server_head(r, head, &f->set->hosts, &keep, why);
    if (rc != RC_OK)
        return rc;
    f->keep = keep && !f->set->draining && ++f->requests < f->set->requests_per_connection;
    f->body_left = r->body == BODY_SIZED ? r->body_bytes : 0;
    f->body_done = r->body == BODY_NONE || (r->body == BODY_SIZED && r->body_bytes == 0);
    return RC_OK;
}

/* What a request knows of its connection. */
static void tell_connection(struct front *f, struct request *r)
{
    r->ops = &ops;
    r->front = f;
    r->is_tls = f->tls.version != NULL;
    r->peer = f->greeting.peer;
    r->local_port = f->greeting.local_port;
    if (!f->peer_text_len) {
        f->peer_text_len = (uint8_t)peer_print_ip(&r->peer, f->peer_text);
        f->port_text_len = (uint8_t)format_u64(f->port_text, r->local_port);
    }
    r->peer_text = slice_make(f->peer_text, f->peer_text_len);
    r->port_text = slice_make(f->port_text, f->port_text_len);
    r->listener = f->listener;
    r->tls_version = f->tls.version;
    r->tls_cipher = f->tls.cipher;
    r->tls_name = f->tls.server_name;
    f->request = r;
    f->output.sent = &r->written;
}

static struct request *open_request(struct front *f)
{
    struct request *r = f->set->events->open(loop_of(f));
    tell_connection(f, r);
    f->body_done = f->keep = false;
    buf_reset(&f->trailers);
    f->chunked = (struct chunked){ .trailers = &f->trailers };
    f->output.trailers = NULL;
    f->state = FRONT_HEAD;
    front_arm(f, loop_of(f)->clock.now_ms + r->timeouts->head_ms);
    return r;
}

static void tell_malformed(const struct request *r, const char *why)
{
    static _Thread_local struct log_limit limit;
    if (log_limit_passes(&limit, "front"))
        log_info("front", rc_word(RC_MALFORMED), "why", why, "client", log_slice(r->peer_text));
}

/* why: what is malformed, or NULL where rc says it all. */
static void refuse(struct front *f, enum rc rc, const char *why)
{
    struct request *r = f->request;
    if (why)
        tell_malformed(r, why);
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
    struct slice bytes = slice_make(in->at, in->len);
    bool moves = in->len > SMALL_BYTES;
    if (!moves)
        bytes = arena_copy(&r->arena, bytes);       /* parsed where it will stay */
    headers_clear(&r->headers);
    enum rc rc = h1_parse_request(bytes, &limits, &r->arena, &head, &r->headers);
    if (rc == RC_AGAIN) {
        arena_reset(&r->arena);         /* nothing else lives there yet */
        return false;
    }
    const char *why = NULL;
    if (rc != RC_OK) {
        headers_clear(&r->headers);     /* views of bytes that will move */
        if (rc == RC_MALFORMED)
            why = h1_parse_why(bytes, head.bytes);
        refuse(f, rc, why);
        return true;
    }
    if (moves) {
        struct slice copy = arena_copy(&r->arena, slice_make(in->at, head.bytes));
        h1_head_move(&head, &r->headers, in->at, (char *)(uintptr_t)copy.at);
    }
    rc = accept_head(f, r, &head, &why);
    h1_input_give_back(&f->input, in, in->len - head.bytes);
    h1_input_release(&f->input);
    if (f->body_done)
        stash(f);
    if (rc != RC_OK) {
        refuse(f, rc, why);
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

/* More of a head that came in pieces: it is gathered, and looked at again when a line has ended. RC_OK: *in is all of
 * it so far. */
static enum rc gather_head(struct front *f, struct span *in)
{
    uint32_t most = f->request->limits->head_bytes;
    struct slice fresh;
    f->input.aside.max = most + BEHIND_HEAD;
    enum rc rc = h1_input_read_more(&f->input, &fresh);
    if (rc != RC_OK)
        return rc;
    if (!memchr(fresh.at, '\n', fresh.len) && buf_len(&f->input.aside) < most) {
        read_on(f);
        return RC_AGAIN;
    }
    return h1_input_next(&f->input, in);
}

static void read_head(struct front *f)
{
    struct span in;
    enum rc rc = f->state == FRONT_HEAD ? gather_head(f, &in) : h1_input_next(&f->input, &in);
    switch (rc) {
    case RC_OK: break;
    case RC_AGAIN: front_register(f); return;
    case RC_LIMIT: refuse(f, RC_HEAD_LIMIT, NULL); return;
    default: front_drop(f); return;
    }
    if (f->state == FRONT_IDLE)
        open_request(f);
    if (parse_head(f, &in))
        return;
    h1_input_give_back(&f->input, &in, in.len);
    stash(f);
    front_register(f);
    read_on(f);
}

/* -- states before and after requests -- */

/* RFC 9112 section 9.6: a close with unread input makes the kernel reset the connection, and the client may lose the
 * response. So: say that we are done, and read on for a moment. */
static void start_linger(struct front *f)
{
    f->state = FRONT_LINGER;
    h1_input_reset(&f->input);
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

static void greet(struct front *f)
{
    switch (greeting_run(&f->greeting, &f->stream, loop_of(f))) {
    case RC_OK:
        f->state = FRONT_IDLE;
        f->tls = stream_tls_facts(&f->stream);
        break;
    case RC_AGAIN: front_register(f); break;
    case RC_MALFORMED: start_linger(f); break;
    default: front_close(f);
    }
}

static void front_run(struct front *f)
{
    if (f->state == FRONT_GREETING)
        greet(f);
    switch ((enum front_state)f->state) {
    case FRONT_IDLE:
    case FRONT_HEAD: read_head(f); break;
    case FRONT_BUSY: f->set->events->wake(f->request); break;
    case FRONT_PIPE: f->pipe->wake(f->pipe); break;
    case FRONT_LINGER: linger(f); break;
    case FRONT_GREETING:
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
    case FRONT_PIPE: f->pipe->timeout(f->pipe); break;
    case FRONT_HEAD: refuse(f, RC_CLIENT_SLOW, NULL); break;
    case FRONT_IDLE:
    case FRONT_GREETING:
    case FRONT_LINGER: front_close(f); break;
    case FRONT_CLOSED: break;
    }
}

/* On a socket, or on a wire. */
static struct front *front_new(struct fronts *set, int fd, struct wire *w)
{
    struct front *f = freelist_take(&set->free, sizeof *f);
    f->set = set;
    if (w)
        stream_memory_init(&f->stream, w, true);
    else
        stream_tcp_init(&f->stream, fd);
    f->stream.io.on_event = on_event;
    f->deadline.fire = on_deadline;
    f->again.run = on_again;
    h1_input_init(&f->input, &f->stream, set->loop, BEHIND_HEAD);
    h1_output_init(&f->output, &f->stream, set->loop, NULL);
    f->trailers.max = H1_TRAILERS_MAX;
    list_append(&set->all, &f->in_all);
    return f;
}

static void begin(struct front *f, const struct sockaddr *peer, const struct front_start *start)
{
    struct fronts *set = f->set;
    greeting_init(&f->greeting, peer, start);
    f->listener = (uint8_t)start->listener;
    f->state = greeting_is_over(&f->greeting) ? FRONT_IDLE : FRONT_GREETING;
    count_open(set, 1);
    set->accepted++;
    front_arm(f, set->loop->clock.now_ms + set->head_ms);
    front_run(f);
}

void fronts_accept(struct fronts *set, int fd, const struct sockaddr *peer, const struct front_start *start)
{
    begin(front_new(set, fd, NULL), peer, start);
}

void fronts_accept_wire(struct fronts *set, struct wire *w, const struct sockaddr *peer,
                        const struct front_start *start, const struct tls_facts *tls)
{
    struct front *f = front_new(set, -1, w);
    f->tls = *tls;
    begin(f, peer, start);
}

void fronts_turn_away(struct fronts *set, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nRetry-After: 1\r\n"
                                 "Content-Type: text/plain\r\nConnection: close\r\n\r\n503 gateway is full.\n\n";
    if (set->turned_away >= TURNED_AWAY_MAX || send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        close(fd);
        return;
    }
    struct front *f = front_new(set, fd, NULL);
    f->turned_away = true;
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
        bool is_busy = f->state == FRONT_BUSY || f->state == FRONT_PIPE;
        if (!is_busy) {
            front_drop(f);
            continue;
        }
        stream_abort(&f->stream);
        front_run(f);
    }
}

/* -- what the exchange asks -- */

static enum rc read_sized(struct front *f, struct request *r, const struct span *in, struct span *out)
{
    size_t n = in->len < f->body_left ? in->len : (size_t)f->body_left;
    h1_input_give_back(&f->input, in, in->len - n);
    stash(f);
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
    if (rc != RC_OK && rc != RC_AGAIN && rc != RC_END) {
        tell_malformed(r, "broken chunk or trailer");
        return rc;
    }
    h1_input_give_back(&f->input, in, rest.len);
    stash(f);
    f->body_done = rc == RC_END;
    if (f->body_done && buf_len(&f->trailers)) {
        r->trailers = h1_trailers_pick(buf_slice(&f->trailers), &r->headers, &r->arena);
        buf_reset(&f->trailers);
    }
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
        rc = h1_input_next(&f->input, &in);
        if (rc == RC_AGAIN)
            front_register(f);
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
    struct out o = h1_output_head(&f->output);
    if (r->version == 10)
        return;                         /* RFC 9110 section 15.2 */
    h1_write_response(&o, p, false, CONNECTION_NONE, SLICE_NONE);
    if (!o.full)                        /* a client that is gone is noticed with the final response */
        (void)written(f, h1_output_write(&f->output, h1_output_rendered(&f->output, &o)));
}

static enum rc op_send_head(struct request *r, struct response *p, struct span body, bool last)
{
    struct front *f = r->front;
    enum connection_word word = CONNECTION_NONE;
    bool bodiless = r->is_head || p->status == 204 || p->status == 304;
    bool streamed = (p->body == BODY_STREAMED || p->body == BODY_TO_CLOSE) && !bodiless;
    bool old = r->version == 10;
    f->output.chunked = streamed && !old;
    f->output.trailers = r->takes_trailers ? &p->trailers : NULL;
    if (streamed && old)
        f->keep = false;
    if (p->close || f->set->draining)
        f->keep = false;
    if (p->status == 101)
        word = CONNECTION_UPGRADE;
    else if (!f->keep)
        word = CONNECTION_CLOSE;
    else if (old)
        word = CONNECTION_KEEP_ALIVE;
    struct out o = h1_output_head(&f->output);
    h1_write_response(&o, p, f->output.chunked, word, clock_date(&loop_of(f)->clock));
    if (o.full)
        return RC_CLIENT_GONE;          /* the limits on heads are far below: cannot be */
    if (bodiless)
        body.len = 0;
    return written(f, h1_output_send(&f->output, h1_output_rendered(&f->output, &o), &body, last));
}

static enum rc op_send_body(struct request *r, struct span body, bool last)
{
    struct front *f = r->front;
    return written(f, h1_output_body(&f->output, body, last));
}

static enum rc op_flush(struct request *r)
{
    struct front *f = r->front;
    return written(f, h1_output_flush(&f->output));
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
    h1_input_release(&f->input);
    f->state = FRONT_IDLE;
    front_register(f);
    front_arm(f, loop_of(f)->clock.now_ms + f->set->idle_ms);
    /* A task, not a call: pipelined requests must not nest. */
    if (h1_input_waits(&f->input) || (f->stream.io.ready & IO_READABLE))
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

static const struct stream *op_stream(const struct request *r)
{
    const struct front *f = r->front;
    return &f->stream;
}

static struct stream *op_raw(struct request *r)
{
    struct front *f = r->front;
    front_register(f);
    return buf_len(&f->output.kept) ? NULL : &f->stream;
}

static struct slice op_detach(struct request *r)
{
    struct front *f = r->front;
    f->body_done = true;
    f->keep = false;
    front_register(f);
    return h1_input_detach(&f->input, &r->arena);
}

static void op_leave(struct request *r, struct pipe_end *p)
{
    struct front *f = r->front;
    p->ops = &ops;
    p->front = f;
    f->pipe = p;
    f->request = NULL;
    f->output.sent = NULL;
    f->state = FRONT_PIPE;
}

static void op_come_back(struct request *r, struct pipe_end *p)
{
    struct front *f = p->front;
    tell_connection(f, r);
    f->pipe = NULL;
    f->state = FRONT_BUSY;
}

static void op_arm_pipe(struct pipe_end *p, uint64_t due_ms)
{
    struct front *f = p->front;
    front_arm(f, due_ms);
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
    .stream = op_stream,
    .detach = op_detach,
    .leave = op_leave,
    .come_back = op_come_back,
    .arm_pipe = op_arm_pipe,
};
