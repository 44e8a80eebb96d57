#include "proxy/exchange.h"

#include <assert.h>

#include "base/log.h"
#include "http/url.h"
#include "proxy/access_log.h"
#include "proxy/balancer.h"
#include "proxy/forward.h"
#include "proxy/reply.h"

enum step { STEP_ROUTE, STEP_PICK, STEP_CONNECT, STEP_SEND, STEP_HEAD, STEP_RELAY, STEP_TUNNEL, STEP_ECHO, STEP_FLUSH };
enum next { NEXT_STEP, NEXT_WAIT, NEXT_DONE, NEXT_CUT };

enum {
    REPLAY_MAX = 64 * 1024,     /* request body kept for another try */
    DRAIN_MAX = 64 * 1024,      /* unread request body thrown away to keep a connection */
    SPLICE_FROM = 1 << 20,      /* bodies from here on go through a pipe */
    TURNS = 16,                 /* reads in a row before others get their turn */
    INTERIM_MAX = 16,           /* 1xx responses before an upstream is called broken */
    HALF_CLOSED_MS = 5000,      /* a client that said it sends no more gets this long for its response to begin */
};

static void on_wake(struct task *t);
static void exchange_run(struct exchange *x);

static enum next go(struct exchange *x, enum step step)
{
    x->step = (uint8_t)step;
    return NEXT_STEP;
}

static struct loop *loop_of(struct exchange *x) { return x->plane->loop; }

/* A wait begins, or has made progress: its time counts from now. */
static void touch(struct exchange *x, enum wait w) { x->since_ms[__builtin_ctz(w)] = loop_of(x)->clock.now_ms; }

static void wait_for(struct exchange *x, enum wait w)
{
    if (!x->since_ms[__builtin_ctz(w)] || (w == WAIT_CLIENT_WRITE && x->req.written != x->written_seen) ||
        (w == WAIT_UP_WRITE && x->up->sent != x->sent_seen))
        touch(x, w);
    x->written_seen = x->req.written;
    x->sent_seen = x->up ? x->up->sent : 0;
    x->waits |= (uint8_t)w;
}

/* -- endings -- */

static void drop_up(struct exchange *x)
{
    if (!x->up)
        return;
    if (x->splicing) {
        pipe_give(&x->plane->pipes, &x->pipe);
        x->splicing = false;
    }
    if (x->tunnel) {
        tunnel_free(x->tunnel);
        x->tunnel = NULL;
    }
    up_close(x->up);
    x->up = NULL;
}

static void keep_up(struct exchange *x)
{
    struct up *u = x->up;
    if (!u)
        return;
    if (x->splicing || x->tunnel || !up_is_reusable(u)) {
        drop_up(x);
        return;
    }
    buf_reset(&u->in);
    u->taken = 0;
    x->up = NULL;
    pool_put(&x->node->pools[x->plane->index], u, &x->service->settings);
}

/* A small rest of an unread request body is read away after the reply, so that the connection can be kept. Not where
 * the body itself is the trouble, and not with 100 Continue refused: the client may never send it. */
static bool will_drain(const struct exchange *x)
{
    switch (x->failure) {
    case RC_MALFORMED:
    case RC_BODY_LIMIT:
    case RC_CLIENT_SLOW: return false;
    default:
        return !x->req.expects_continue && x->req.method != METHOD_CONNECT &&
               (x->req.body != BODY_SIZED || x->req.body_bytes <= DRAIN_MAX);
    }
}

static enum next reply(struct exchange *x, struct span body)
{
    if (x->req.body != BODY_NONE && !x->body_ended && !will_drain(x))
        x->res.close = true;
    x->head_sent = true;
    x->req.bytes_out += body.len;
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, body, true);
    if (rc != RC_OK && rc != RC_AGAIN) {
        x->failure = RC_CLIENT_GONE;
        return NEXT_CUT;
    }
    return go(x, STEP_FLUSH);
}

/* The exchange ends with an error of ours, if the client can still be told. */
static enum next fail(struct exchange *x, enum rc rc)
{
    x->failure = rc;
    drop_up(x);
    if (x->head_sent || rc == RC_CLIENT_GONE)
        return NEXT_CUT;
    return reply(x, reply_error(x, rc));
}

/* -- routing -- */

static enum next not_found(struct exchange *x, const struct router_answer *answer)
{
    if (!answer->allowed && !answer->any_other)
        return fail(x, RC_NO_ROUTE);
    x->failure = RC_METHOD;
    return reply(x, reply_method_not_allowed(x, answer));
}

static enum next step_route(struct exchange *x)
{
    struct request *r = &x->req;
    struct router_query q = { r->host, r->path, r->method, r->method_text, r->listener };
    forward_make_id(x);
    forward_find_client(x);
    if (r->method == METHOD_CONNECT)
        return not_found(x, &(struct router_answer){ .allowed = 1u << METHOD_COUNT });
    if (r->security->deny_hidden_files && url_is_hidden(r->path))
        return fail(x, RC_HIDDEN);
    struct router_answer answer = router_find(x->generation->router, &q);
    if (!answer.route)
        return not_found(x, &answer);
    x->route = (const struct route *)answer.route;
    switch ((enum route_action)x->route->settings.action) {
    case ACTION_RESPOND: return reply(x, reply_fixed(x));
    case ACTION_REDIRECT: return reply(x, reply_redirect(x));
    case ACTION_ECHO: return go(x, STEP_ECHO);
    case ACTION_SERVICE: break;
    }
    x->service = x->route->service;
    if ((r->method == METHOD_OPTIONS || r->method == METHOD_TRACE) && !forward_max_forwards(x))
        return reply(x, reply_options(x));
    forward_request(x);
    forward_path(x);
    return go(x, STEP_PICK);
}

/* -- choosing and reaching a node -- */

static enum next step_pick(struct exchange *x)
{
    int index = balancer_pick(x->service, x->tried);
    if (index < 0)
        return fail(x, RC_NO_NODE);
    if (index < 64)
        x->tried |= 1ull << index;
    x->node = x->service->nodes[index];
    if (x->service->settings.host_policy == HOST_NODE || x->req.upstream_host.len == 0)
        x->req.upstream_host = slice_text(x->node->host_port);
    x->tries++;
    count(&x->plane->counters.upstream_tries, 1);
    return go(x, STEP_CONNECT);
}

static void on_up_wake(struct up *u)
{
    struct exchange *x = u->holder;
    loop_ready(loop_of(x), &x->wake);
}

static void hold(struct exchange *x, struct up *u)
{
    x->up = u;
    u->holder = x;
    u->on_wake = on_up_wake;
    x->up_deaf = false;
}

/* Nothing of the request was sent: any method may be tried again, on another node. */
static enum next connect_failed(struct exchange *x, enum rc rc)
{
    count(&x->plane->counters.upstream_failures, 1);
    log_warn("upstream", rc_word(rc), "service", log_slice(x->service->settings.name), "node", x->node->text,
             "request", log_slice(x->id));
    drop_up(x);
    int32_t attempts = x->route->settings.attempts;
    if (attempts < 0)
        attempts = (int32_t)x->service->settings.attempts;
    if (x->retries >= (uint32_t)attempts)
        return fail(x, rc);
    x->retries++;
    count(&x->plane->counters.upstream_retries, 1);
    if (x->service->node_count <= (uint32_t)__builtin_popcountll(x->tried))
        x->tried = 0;           /* all had their turn: a single node may be tried again */
    return go(x, STEP_PICK);
}

static enum next step_connect(struct exchange *x)
{
    if (!x->up) {
        struct service *s = x->service;
        struct up *u = pool_take(&x->node->pools[x->plane->index], &s->settings);
        x->reused = u != NULL;
        if (u) {
            count(&x->plane->counters.upstream_reused, 1);
            hold(x, u);
            return go(x, STEP_SEND);
        }
        const char *name = s->settings.tls_server_name.len ? s->settings.tls_server_name.at : x->node->host;
        x->up_started_us = clock_us();
        u = up_connect(loop_of(x), &x->plane->ups, &x->node->addr, s->tls, name);
        if (!u)
            return connect_failed(x, RC_UNREACHABLE);
        hold(x, u);
        touch(x, WAIT_CONNECT);
    }
    enum rc rc = up_check(x->up);
    if (rc == RC_AGAIN) {
        wait_for(x, WAIT_CONNECT);
        return NEXT_WAIT;
    }
    if (rc != RC_OK)
        return connect_failed(x, rc);
    x->connect_us = clock_us() - x->up_started_us;
    return go(x, STEP_SEND);
}

/* -- the request body -- */

static bool may_replay(const struct exchange *x)
{
    return x->reused || (x->service->settings.attempts && method_is_idempotent(x->req.method));
}

/* Body bytes: first those of an earlier try, then the frontend's. */
static enum rc next_body(struct exchange *x, struct span *out, bool *last)
{
    if (x->replay_at < buf_len(&x->replay)) {
        struct slice s = slice_from(buf_slice(&x->replay), x->replay_at);
        *out = (struct span){ (char *)(uintptr_t)s.at, s.len, 0, 0 };
        *last = x->body_ended;
        x->replay_at += s.len;
        return RC_OK;
    }
    if (x->body_ended) {
        *out = (struct span){ 0 };
        *last = true;
        return RC_OK;
    }
    enum rc rc = x->req.ops->read_body(&x->req, out, last);
    if (rc != RC_OK)
        return rc;
    touch(x, WAIT_BODY);
    x->body_ended = *last;
    if (!x->body_lost && out->len) {
        x->replay.max = REPLAY_MAX;
        if (!may_replay(x) || buf_append(&x->replay, slice_make(out->at, out->len)) != RC_OK) {
            x->body_lost = true;
            buf_reset(&x->replay);
            x->replay_at = 0;
        } else {
            x->replay_at = buf_len(&x->replay);
        }
    }
    return RC_OK;
}

/* Moves request body bytes upstream as far as both sides allow. Errors are the client's. */
static enum rc pump_up(struct exchange *x)
{
    struct up *u = x->up;
    for (int turn = 0; turn < TURNS; turn++) {
        enum rc rc = up_flush(u);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_UP_WRITE);
            return RC_OK;
        }
        if (rc != RC_OK)
            x->up_deaf = true;
        if (u->request_done || x->up_deaf)
            return RC_OK;
        struct span body;
        bool last;
        rc = next_body(x, &body, &last);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_BODY);
            return RC_OK;
        }
        if (rc != RC_OK)
            return rc;
        rc = up_send_body(u, body, last);
        touch(x, WAIT_UP_WRITE);
        if (rc != RC_OK && rc != RC_AGAIN)
            x->up_deaf = true;
    }
    loop_ready(loop_of(x), &x->wake);
    return RC_OK;
}

static enum next step_send(struct exchange *x)
{
    struct span body = { 0 };
    bool last = x->req.body == BODY_NONE;
    x->replay_at = 0;
    if (!last) {
        enum rc rc = next_body(x, &body, &last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return fail(x, rc);
        if (rc == RC_AGAIN)
            body = (struct span){ 0 }, last = false;
    }
    enum rc rc = up_send_head(x->up, &x->req, body, last);
    if (rc != RC_OK && rc != RC_AGAIN)
        x->up_deaf = true;      /* maybe an answer came before the close: look */
    touch(x, WAIT_UP_WRITE);
    x->since_ms[__builtin_ctz(WAIT_HEAD)] = 0;
    return go(x, STEP_HEAD);
}

/* -- the response -- */

/* The upstream ended before it answered. Another try must not do the work twice: the method allows that, or the dead
 * connection never took the request. */
static enum next up_died(struct exchange *x, enum rc rc)
{
    bool harmless = method_is_idempotent(x->req.method) || x->up->sent == x->up->sent_before ||
                    (rc == RC_EOF && up_sent_nothing(x->up));
    bool can = harmless && !x->body_lost && !x->up->got_bytes;
    int32_t attempts = x->route->settings.attempts;
    if (attempts < 0)
        attempts = (int32_t)x->service->settings.attempts;
    bool stale = x->reused;
    if (!stale)
        count(&x->plane->counters.upstream_failures, 1);
    if (!can || (!stale && x->retries >= (uint32_t)attempts)) {
        log_warn("upstream", rc_word(RC_RESET), "service", log_slice(x->service->settings.name), "node", x->node->text,
                 "request", log_slice(x->id));
        return fail(x, RC_RESET);
    }
    drop_up(x);
    count(&x->plane->counters.upstream_retries, 1);
    x->replay_at = 0;
    if (stale)                  /* the same node: the connection was old, not the node bad */
        return go(x, STEP_CONNECT);
    x->retries++;
    if (x->service->node_count <= (uint32_t)__builtin_popcountll(x->tried))
        x->tried = 0;
    return go(x, STEP_PICK);
}

static enum next start_tunnel(struct exchange *x)
{
    struct slice early_up = x->up->ahead.len ? slice_make(x->up->ahead.at, x->up->ahead.len) : buf_slice(&x->up->in);
    if (x->up->taken)
        early_up = slice_from(early_up, x->up->taken);
    early_up = arena_copy(&x->req.arena, early_up);
    forward_response(x);
    x->head_sent = true;
    x->res.body = BODY_NONE;
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, (struct span){ 0 }, true);
    if (rc != RC_OK && rc != RC_AGAIN)
        return fail(x, RC_CLIENT_GONE);
    struct slice early_client = x->req.ops->detach(&x->req);
    x->up->ahead = (struct span){ 0 };
    x->tunnel = arena_alloc(&x->req.arena, sizeof *x->tunnel);
    tunnel_init(x->tunnel, loop_of(x), NULL, &x->up->stream, early_client, early_up);
    touch(x, WAIT_TUNNEL);
    return go(x, STEP_TUNNEL);
}

static enum next step_tunnel(struct exchange *x)
{
    if (!x->tunnel->out.from) {
        /* The 101 itself must be out before raw bytes may follow it. */
        if (x->req.ops->flush(&x->req) == RC_AGAIN) {
            wait_for(x, WAIT_CLIENT_WRITE);
            return NEXT_WAIT;
        }
        struct stream *client = x->req.ops->raw(&x->req);
        if (!client)
            return fail(x, RC_CLIENT_GONE);
        x->tunnel->out.from = x->tunnel->back.to = client;
    }
    bool moved;
    enum rc rc = x->tunnel->out.from->io.fd < 0 ? RC_RESET : tunnel_run(x->tunnel, &moved);
    x->req.bytes_in = x->tunnel->out.bytes;
    x->req.bytes_out = x->tunnel->back.bytes;
    if (rc == RC_END || rc == RC_RESET) {
        drop_up(x);
        return rc == RC_END ? NEXT_DONE : NEXT_CUT;
    }
    if (moved)
        touch(x, WAIT_TUNNEL);
    if (rc == RC_LIMIT)
        loop_ready(loop_of(x), &x->wake);
    wait_for(x, WAIT_TUNNEL);
    return NEXT_WAIT;
}

/* RC_OK: take the next head. */
static enum rc pass_interim(struct exchange *x)
{
    if (++x->interims > INTERIM_MAX)
        return RC_UPSTREAM_BAD;
    if (x->res.status != 100 || x->req.expects_continue) {
        forward_response(x);
        x->req.ops->send_interim(&x->req, &x->res);
    }
    return RC_OK;
}

static enum next send_response(struct exchange *x)
{
    struct span body = { 0 };
    bool last = x->up->response_done;
    if (x->generation->log_count)
        x->first_byte_us = clock_us();
    forward_response(x);
    /* Body bytes that came with the head leave with it. */
    if (!last && (x->up->ahead.len || buf_len(&x->up->in) > x->up->taken)) {
        enum rc rc = up_read_body(x->up, &body, &last);
        if (rc != RC_OK && rc != RC_AGAIN) {
            count(&x->plane->counters.upstream_failures, 1);
            return fail(x, rc);
        }
    }
    x->req.bytes_out += body.len;
    x->head_sent = true;
    touch(x, WAIT_CLIENT_WRITE);
    touch(x, WAIT_UP_READ);
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, body, last);
    if (rc != RC_OK && rc != RC_AGAIN)
        return fail(x, RC_CLIENT_GONE);
    return last ? go(x, STEP_FLUSH) : go(x, STEP_RELAY);
}

static enum next step_head(struct exchange *x)
{
    enum rc rc = pump_up(x);
    if (rc != RC_OK)
        return fail(x, rc);
    for (;;) {
        rc = up_read_head(x->up, &x->req, &x->res);
        if (rc == RC_AGAIN) {
            if (x->up->request_done && !(x->waits & WAIT_UP_WRITE))
                wait_for(x, WAIT_HEAD);
            return NEXT_WAIT;
        }
        if (rc == RC_EOF || rc == RC_RESET)
            return up_died(x, rc);
        if (rc == RC_OK && x->res.status == 101) {
            if (x->req.wants_upgrade)
                return start_tunnel(x);
            rc = RC_UPSTREAM_BAD;
        } else if (rc == RC_OK && x->res.status < 200) {
            rc = pass_interim(x);
            if (rc == RC_OK)
                continue;
        }
        if (rc != RC_OK) {
            count(&x->plane->counters.upstream_failures, 1);
            log_warn("upstream", rc_word(rc), "service", log_slice(x->service->settings.name), "node", x->node->text,
                     "request", log_slice(x->id));
            return fail(x, rc);
        }
        return send_response(x);
    }
}

/* Large plain bodies: from socket to socket inside the kernel. */
static bool try_splice(struct exchange *x, struct stream **client)
{
    struct up *u = x->up;
    if (x->splicing) {
        *client = x->req.ops->raw(&x->req);
        return *client != NULL;
    }
    if (u->body != BODY_SIZED || u->body_left < SPLICE_FROM || u->ahead.len || buf_len(&u->in) > u->taken ||
        !stream_is_plain(&u->stream) || x->req.is_tls)
        return false;
    *client = x->req.ops->raw(&x->req);
    if (!*client || pipe_take(&x->plane->pipes, &x->pipe) != RC_OK)
        return false;
    x->splicing = true;
    return true;
}

static enum next relay_spliced(struct exchange *x, struct stream *client)
{
    uint64_t moved = 0, before = x->up->body_left;
    enum rc rc = pipe_move(&x->pipe, &x->up->stream, client, &x->up->body_left, &moved);
    x->req.bytes_out += moved;
    if (moved)
        touch(x, WAIT_CLIENT_WRITE);
    if (x->up->body_left < before)
        touch(x, WAIT_UP_READ);
    if (rc == RC_OK) {
        pipe_give(&x->plane->pipes, &x->pipe);
        x->splicing = false;
        x->up->response_done = true;
        return go(x, STEP_FLUSH);
    }
    if (rc == RC_AGAIN) {
        wait_for(x, x->pipe.held ? WAIT_CLIENT_WRITE : WAIT_UP_READ);
        if ((client->io.ready & IO_WRITABLE) && (x->pipe.held || (x->up->stream.io.ready & IO_READABLE)))
            loop_ready(loop_of(x), &x->wake);
        return NEXT_WAIT;
    }
    return fail(x, rc == RC_CLIENT_GONE ? rc : RC_RESET);
}

static enum next step_relay(struct exchange *x)
{
    enum rc rc = pump_up(x);
    if (rc != RC_OK)
        return fail(x, rc);
    for (int turn = 0; turn < TURNS; turn++) {
        struct stream *client;
        struct span body;
        bool last;
        rc = x->req.ops->flush(&x->req);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_CLIENT_WRITE);
            return NEXT_WAIT;
        }
        if (rc != RC_OK)
            return fail(x, RC_CLIENT_GONE);
        if (try_splice(x, &client))
            return relay_spliced(x, client);
        rc = up_read_body(x->up, &body, &last);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_UP_READ);
            return NEXT_WAIT;
        }
        if (rc != RC_OK) {
            count(&x->plane->counters.upstream_failures, 1);
            log_warn("upstream", "response body cut", "service", log_slice(x->service->settings.name), "node",
                     x->node->text, "request", log_slice(x->id));
            return fail(x, rc);
        }
        touch(x, WAIT_UP_READ);
        touch(x, WAIT_CLIENT_WRITE);
        x->req.bytes_out += body.len;
        rc = x->req.ops->send_body(&x->req, body, last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return fail(x, RC_CLIENT_GONE);
        if (last)
            return go(x, STEP_FLUSH);
    }
    loop_ready(loop_of(x), &x->wake);
    return NEXT_WAIT;
}

/* The request body goes back to where it came from, as it comes. */
static enum next step_echo(struct exchange *x)
{
    struct span body;
    bool last = x->req.body == BODY_NONE;
    enum rc rc;
    if (!x->head_sent) {
        body = reply_echo(x);
        if (x->req.expects_continue) {
            struct response interim = { .status = 100 };
            x->req.ops->send_interim(&x->req, &interim);
        }
        /* The head takes no body bytes with it: those that came are still in the scratch, and safe there. */
        x->head_sent = true;
        x->body_ended = last;
        rc = x->req.ops->send_head(&x->req, &x->res, body, last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return fail(x, RC_CLIENT_GONE);
        touch(x, WAIT_BODY);
    }
    for (int turn = 0; !x->body_ended && turn < TURNS; turn++) {
        rc = x->req.ops->flush(&x->req);
        if (rc == RC_OK)
            rc = x->req.ops->read_body(&x->req, &body, &last);
        else if (rc == RC_AGAIN) {
            wait_for(x, WAIT_CLIENT_WRITE);
            return NEXT_WAIT;
        }
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_BODY);
            return NEXT_WAIT;
        }
        if (rc != RC_OK)
            return fail(x, rc);
        touch(x, WAIT_BODY);
        touch(x, WAIT_CLIENT_WRITE);
        x->req.bytes_out += body.len;
        x->body_ended = last;
        rc = x->req.ops->send_body(&x->req, body, last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return fail(x, RC_CLIENT_GONE);
    }
    if (x->body_ended)
        return go(x, STEP_FLUSH);
    loop_ready(loop_of(x), &x->wake);
    return NEXT_WAIT;
}

/* The response is written. */
static enum next drain_body(struct exchange *x)
{
    struct span body;
    bool last = false;
    if (x->up || x->req.body == BODY_NONE || !will_drain(x))
        return NEXT_DONE;
    while (!last && x->drained <= DRAIN_MAX) {
        enum rc rc = x->req.ops->read_body(&x->req, &body, &last);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_BODY);
            return NEXT_WAIT;
        }
        if (rc != RC_OK)
            break;
        x->drained += body.len;
    }
    return NEXT_DONE;
}

static enum next step_flush(struct exchange *x)
{
    enum rc rc = x->req.ops->flush(&x->req);
    if (rc == RC_AGAIN) {
        wait_for(x, WAIT_CLIENT_WRITE);
        return NEXT_WAIT;
    }
    if (rc != RC_OK) {
        x->failure = RC_CLIENT_GONE;
        return NEXT_CUT;
    }
    return drain_body(x);
}

/* -- the runner -- */

static enum next (*const steps[])(struct exchange *) = {
    [STEP_ROUTE] = step_route,
    [STEP_PICK] = step_pick,
    [STEP_CONNECT] = step_connect,
    [STEP_SEND] = step_send,
    [STEP_HEAD] = step_head,
    [STEP_RELAY] = step_relay,
    [STEP_TUNNEL] = step_tunnel,
    [STEP_ECHO] = step_echo,
    [STEP_FLUSH] = step_flush,
};

static void exchange_free(struct exchange *x)
{
    struct plane *p = x->plane;
    link_remove(&x->wake.in_ready);
    buf_reset(&x->replay);
    arena_free(&x->req.arena);
    plane_leave(p, x->generation);
    freelist_give(&p->exchanges, x);
}

static void exchange_finish(struct exchange *x, bool complete)
{
    struct plane *p = x->plane;
    struct counters *c = &p->counters;
    if (complete)
        keep_up(x);
    else
        drop_up(x);
    count(&c->requests, 1);
    atomic_store_explicit(&c->upstream_open, p->ups.live, memory_order_relaxed);
    count(&c->responses[x->head_sent && x->res.status < 600 ? x->res.status / 100 : 0], 1);
    count(&c->bytes_in, x->req.bytes_in);
    count(&c->bytes_out, x->req.bytes_out);
    access_log_write(x);
    x->req.ops->finish(&x->req, complete);
    exchange_free(x);
}

/* Where the time of each wait ends, and what it means when it does. */
static uint64_t limit_of(const struct exchange *x, enum wait w, enum rc *meaning)
{
    const struct client_timeouts *t = x->req.timeouts;
    const struct service_settings *s = x->service ? &x->service->settings : NULL;
    switch (w) {
    case WAIT_CONNECT: *meaning = RC_CONNECT_TIMEOUT; return s->connect_ms;
    case WAIT_HEAD: *meaning = RC_FIRST_BYTE_TIMEOUT; return s->first_byte_ms;
    case WAIT_UP_READ: *meaning = RC_IDLE_TIMEOUT; return s->idle_ms;
    case WAIT_UP_WRITE: *meaning = RC_SEND_TIMEOUT; return s->send_ms;
    case WAIT_BODY: *meaning = RC_CLIENT_SLOW; return t->body_ms;
    case WAIT_CLIENT_WRITE: *meaning = RC_CLIENT_GONE; return t->write_ms;
    case WAIT_TUNNEL: *meaning = RC_IDLE_TIMEOUT; return s->idle_ms;
    }
    *meaning = RC_INTERNAL;
    return 0;
}

static uint64_t next_deadline(const struct exchange *x, enum rc *meaning)
{
    uint64_t due = DEADLINE_NEVER;
    for (unsigned bits = x->waits; bits; bits &= bits - 1) {
        enum wait w = (enum wait)(bits & -bits);
        enum rc m;
        uint64_t limit = limit_of(x, w, &m), at = x->since_ms[__builtin_ctz(w)] + limit;
        if (limit && at < due) {
            due = at;
            *meaning = m;
        }
    }
    if (x->route && x->route->settings.timeout_ms && x->step != STEP_TUNNEL) {
        uint64_t at = x->req.started_us / 1000 + x->route->settings.timeout_ms;
        if (at < due) {
            due = at;
            *meaning = RC_ROUTE_TIMEOUT;
        }
    }
    if (x->half_closed && !x->head_sent) {
        uint64_t at = x->req.started_us / 1000 + HALF_CLOSED_MS;
        if (at < due) {
            due = at;
            *meaning = RC_CLIENT_GONE;
        }
    }
    return due;
}

static void run_from(struct exchange *x, enum next next)
{
    while (next == NEXT_STEP) {
        x->waits = 0;
        next = steps[x->step](x);
    }
    if (next != NEXT_WAIT) {
        exchange_finish(x, next == NEXT_DONE);
        return;                 /* x is gone */
    }
    enum rc meaning;
    if (x->up)
        up_settle(x->up);
    x->req.ops->arm(&x->req, next_deadline(x, &meaning));
}

static void exchange_run(struct exchange *x)
{
    switch (x->req.ops->check(&x->req)) {
    case RC_OK: break;
    case RC_END: x->half_closed = true; break;
    default:
        if (x->step != STEP_TUNNEL) {
            run_from(x, fail(x, RC_CLIENT_GONE));
            return;
        }
    }
    run_from(x, NEXT_STEP);
}

static void on_wake(struct task *t) { exchange_run(LINK_OWNER(t, struct exchange, wake)); }

/* -- what the frontend tells -- */

static struct exchange *of(struct request *r) { return (struct exchange *)(void *)r; }

static struct request *on_open(struct loop *loop)
{
    struct plane *p = plane_of(loop);
    struct exchange *x = freelist_take(&p->exchanges);
    memset(x, 0, offsetof(struct exchange, first));
    x->plane = p;
    x->generation = plane_enter(p);
    x->wake.run = on_wake;
    struct request *r = &x->req;
    arena_init_on(&r->arena, x->first, sizeof x->first, 8192);
    r->loop = loop;
    r->limits = &x->generation->gateway.limits;
    r->timeouts = &x->generation->gateway.timeouts;
    r->security = &x->generation->gateway.security;
    r->started_us = clock_us();
    return r;
}

static void on_ready(struct request *r) { exchange_run(of(r)); }

static void on_refuse(struct request *r, enum rc rc)
{
    struct exchange *x = of(r);
    forward_make_id(x);
    x->client = r->peer;
    r->body = BODY_NONE;        /* whatever follows, it is not a body that we understand */
    run_from(x, fail(x, rc));
}

static void on_client_wake(struct request *r)
{
    struct exchange *x = of(r);
    loop_ready(loop_of(x), &x->wake);
}

static void on_timeout(struct request *r)
{
    struct exchange *x = of(r);
    enum rc meaning = RC_INTERNAL;
    uint64_t due = next_deadline(x, &meaning);
    if (due > loop_of(x)->clock.now_ms) {
        r->ops->arm(r, due);
        return;
    }
    if (x->up && meaning != RC_CLIENT_SLOW && meaning != RC_CLIENT_GONE)
        log_warn("upstream", rc_word(meaning), "service", log_slice(x->service->settings.name), "node", x->node->text,
                 "request", log_slice(x->id));
    if (x->step == STEP_FLUSH && meaning == RC_CLIENT_SLOW)
        run_from(x, NEXT_DONE);     /* the reply is out; the rest of the body does not come */
    else if (meaning == RC_CONNECT_TIMEOUT)
        run_from(x, connect_failed(x, meaning));
    else
        run_from(x, fail(x, meaning));
}

static void on_drop(struct request *r) { exchange_free(of(r)); }

const struct request_events exchange_events = {
    .open = on_open,
    .ready = on_ready,
    .refuse = on_refuse,
    .wake = on_client_wake,
    .timeout = on_timeout,
    .drop = on_drop,
};
