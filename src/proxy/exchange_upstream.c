/* The exchange on the upstream's side: choosing a node, reaching it, sending the head and reading the answer's. */
#include "base/log.h"
#include "proxy/balancer.h"
#include "proxy/forward.h"
#include "proxy/steps.h"

enum { INTERIM_MAX = 16 };      /* 1xx responses before an upstream is called broken */

/* -- choosing and reaching a node -- */

enum next step_pick(struct exchange *x)
{
    int index = balancer_pick(x->service, x->tried);
    if (index < 0)
        return exchange_fail(x, RC_NO_NODE);
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

enum next exchange_connect_failed(struct exchange *x, enum rc rc)
{
    count(&x->plane->counters.upstream_failures, 1);
    log_warn("upstream", rc_word(rc), "service", log_slice(x->service->settings.name), "node", x->node->text,
             "request", log_slice(x->id));
    exchange_drop_up(x);
    int32_t attempts = x->route->settings.attempts;
    if (attempts < 0)
        attempts = (int32_t)x->service->settings.attempts;
    if (x->retries >= (uint32_t)attempts)
        return exchange_fail(x, rc);
    x->retries++;
    count(&x->plane->counters.upstream_retries, 1);
    if (x->service->node_count <= (uint32_t)__builtin_popcountll(x->tried))
        x->tried = 0;           /* all had their turn: a single node may be tried again */
    return go(x, STEP_PICK);
}

enum next step_connect(struct exchange *x)
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
            return exchange_connect_failed(x, RC_UNREACHABLE);
        hold(x, u);
        touch(x, WAIT_CONNECT);
    }
    enum rc rc = up_check(x->up);
    if (rc == RC_AGAIN) {
        wait_for(x, WAIT_CONNECT);
        return NEXT_WAIT;
    }
    if (rc != RC_OK)
        return exchange_connect_failed(x, rc);
    x->connect_us = clock_us() - x->up_started_us;
    return go(x, STEP_SEND);
}

enum next step_send(struct exchange *x)
{
    struct span body = { 0 };
    bool last = x->req.body == BODY_NONE;
    x->replay_at = 0;
    if (!last) {
        enum rc rc = exchange_next_body(x, &body, &last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return exchange_fail(x, rc);
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
        return exchange_fail(x, RC_RESET);
    }
    exchange_drop_up(x);
    count(&x->plane->counters.upstream_retries, 1);
    x->replay_at = 0;
    if (stale)                  /* the same node: the connection was old, not the node bad */
        return go(x, STEP_CONNECT);
    x->retries++;
    if (x->service->node_count <= (uint32_t)__builtin_popcountll(x->tried))
        x->tried = 0;
    return go(x, STEP_PICK);
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
            return exchange_fail(x, rc);
        }
    }
    x->req.bytes_out += body.len;
    x->head_sent = true;
    touch(x, WAIT_CLIENT_WRITE);
    touch(x, WAIT_UP_READ);
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, body, last);
    if (rc != RC_OK && rc != RC_AGAIN)
        return exchange_fail(x, RC_CLIENT_GONE);
    return last ? go(x, STEP_FLUSH) : go(x, STEP_RELAY);
}

enum next step_head(struct exchange *x)
{
    enum rc rc = exchange_pump_up(x);
    if (rc != RC_OK)
        return exchange_fail(x, rc);
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
                return exchange_start_tunnel(x);
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
            return exchange_fail(x, rc);
        }
        return send_response(x);
    }
}
