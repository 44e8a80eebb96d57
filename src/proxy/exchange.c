#include "proxy/exchange.h"

#include "base/log.h"
#include "proxy/access_log.h"
#include "proxy/adhoc.h"
#include "proxy/forward.h"
#include "proxy/steps.h"
#include "proxy/traffic.h"
#include "proxy/websocket.h"

enum {
    HALF_CLOSED_MS = 5000,      /* a client that said it sends no more gets this long for its response to begin */
};

/* -- the runner -- */

static enum next (*const steps[])(struct exchange *) = {
    [STEP_START] = step_start,
    [STEP_GLOBAL] = step_global,
    [STEP_ROUTE] = step_route,
    [STEP_REQUEST] = step_request,
    [STEP_ACTION] = step_action,
    [STEP_UPSTREAM] = step_upstream,
    [STEP_PICK] = step_pick,
    [STEP_CONNECT] = step_connect,
    [STEP_SEND] = step_send,
    [STEP_BACKOFF] = step_backoff,
    [STEP_HEAD] = step_head,
    [STEP_RESPONSE] = step_response,
    [STEP_RELAY] = step_relay,
    [STEP_TUNNEL] = step_tunnel,
    [STEP_WEBSOCKET] = step_websocket,
    [STEP_ECHO] = step_echo,
    [STEP_INTERNAL] = step_internal,
    [STEP_FAILURE] = step_failure,
    [STEP_ANSWER] = step_answer,
    [STEP_FLUSH] = step_flush,
};

void exchange_recycle(struct exchange *x)
{
    struct plane *p = x->plane;
    if (x->number)
        p->hooks->end(x);
    link_remove(&x->wake.in_ready);
    buf_reset(&x->replay);
    buf_reset(&x->gathered);
    buf_reset(&x->gathered_response);
    for (int i = 0; i < LINE_COUNT; i++)
        buf_reset(&x->filtered[i]);
    arena_free(&x->req.arena);
    freelist_give(&p->exchanges, x);
}

static void exchange_free(struct exchange *x)
{
    struct plane *p = x->plane;
    if (x->ticket)
        ticket_drop(x->ticket);
    if (x->second)
        exchange_drop_second(x);
    exchange_leave_service(x);
    breaker_cancel(&x->leave);
    breaker_cancel(&x->route_leave);
    if (x->is_websocket)
        count(&p->counters.websockets_open, (uint64_t)-1);
    if (x->ask)
        exchange_forget_ask(x);
    if (x->adhoc)
        adhoc_drop(x->adhoc);
    service_leave(x->service, p->index);
    struct generation *g = x->generation;
    exchange_recycle(x);
    plane_leave(p, g);
}

static void exchange_finish(struct exchange *x, bool complete)
{
    struct plane *p = x->plane;
    struct counters *c = &p->counters;
    if (complete)
        exchange_keep_up(x);
    else
        exchange_drop_up(x);
    count(&c->requests, 1);
    count(&c->responses[x->head_sent && x->res.status < 600 ? x->res.status / 100 : 0], 1);
    count(&c->bytes_in, x->req.bytes_in);
    count(&c->bytes_out, x->req.bytes_out);
    if (x->generation->gateway.has_metrics && !is_internal(x))
        traffic_count(x);
    if (has(x, HOOK_LOG))
        exchange_run_log(x);
    if (x->generation->log_count && !is_internal(x))
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
    case WAIT_QUEUE: *meaning = RC_QUEUE_TIMEOUT; return x->step == STEP_PICK ? s->overload.queue_ms : s->pool_queue_ms;
    case WAIT_BACKOFF: *meaning = RC_AGAIN; return x->backoff_ms;
    case WAIT_SECOND: *meaning = RC_AGAIN; return x->step == STEP_CONNECT ? s->connect_delay_ms : x->retry->hedge_ms;
    }
    *meaning = RC_INTERNAL;
    return 0;
}

uint64_t exchange_due_ms(const struct exchange *x)
{
    uint64_t whole_ms = x->timeout_ms || !x->route ? x->timeout_ms : x->route->settings.timeout_ms;
    if (x->asked_ms && (!whole_ms || x->asked_ms < whole_ms))
        whole_ms = x->asked_ms;
    return whole_ms ? x->req.started_us / 1000 + whole_ms : DEADLINE_NEVER;
}

uint64_t exchange_try_due_ms(const struct exchange *x)
{
    return x->retry && x->retry->per_try_ms ? x->try_since_ms + x->retry->per_try_ms : DEADLINE_NEVER;
}

/* A node's time for one try: until the head of its answer, and not as long as the client's body still comes. */
static uint64_t try_due_ms(const struct exchange *x)
{
    bool is_nodes = (x->step == STEP_CONNECT && x->up) ||
                    (x->step == STEP_HEAD && (x->body_ended || x->req.sent_body == BODY_NONE));
    return is_nodes ? exchange_try_due_ms(x) : DEADLINE_NEVER;
}

/* When the exchange has waited too long, and what it means then. */
struct wait_end { uint64_t due; enum rc meaning; };

static struct wait_end next_deadline(const struct exchange *x)
{
    uint64_t due = DEADLINE_NEVER;
    enum rc meaning = RC_INTERNAL;
    for (unsigned bits = x->waits; bits; bits &= bits - 1) {
        enum wait w = (enum wait)(bits & -bits);
        enum rc m;
        uint64_t limit = limit_of(x, w, &m), at = x->since_ms[__builtin_ctz(w)] + limit;
        if (limit && at < due) {
            due = at;
            meaning = m;
        }
    }
    uint64_t at = try_due_ms(x);
    if (at < due) {
        due = at;
        meaning = RC_TRY_TIMEOUT;
    }
    if (x->step == STEP_WEBSOCKET && x->websocket->relay.ends[WS_CLIENT].stream) {     /* the 101 is out */
        at = websocket_due(x->websocket);
        due = at < due ? at : due;
    }
    at = x->timed_out || x->step == STEP_WEBSOCKET || x->step == STEP_TUNNEL ? DEADLINE_NEVER : exchange_due_ms(x);
    if (at <= due && at != DEADLINE_NEVER) {
        due = at;
        meaning = x->asked_ms && at == x->req.started_us / 1000 + x->asked_ms ? RC_LATE : RC_ROUTE_TIMEOUT;
    }
    if (x->half_closed && !x->head_sent) {
        at = x->req.started_us / 1000 + HALF_CLOSED_MS;
        if (at < due) {
            due = at;
            meaning = RC_CLIENT_GONE;
        }
    }
    return (struct wait_end){ due, meaning };
}

void exchange_go_on(struct exchange *x, enum next next)
{
    while (next == NEXT_STEP) {
        x->waits = 0;
        next = steps[x->step](x);
    }
    if (next == NEXT_GONE)
        return;
    if (next != NEXT_WAIT) {
        exchange_finish(x, next == NEXT_DONE);
        return;                 /* x is gone */
    }
    if (x->up)
        up_settle(x->up);
    x->req.ops->arm(&x->req, next_deadline(x).due);
}

static void exchange_run(struct exchange *x)
{
    switch (x->req.ops->check(&x->req)) {
    case RC_OK: break;
    case RC_END: x->half_closed = true; break;
    default:
        if (x->step != STEP_TUNNEL && x->step != STEP_WEBSOCKET) {
            exchange_go_on(x, exchange_fail(x, RC_CLIENT_GONE));
            return;
        }
    }
    exchange_go_on(x, NEXT_STEP);
}

static void on_wake(struct task *t) { exchange_run(LINK_OWNER(t, struct exchange, wake)); }

/* -- what the frontend tells -- */

static struct exchange *of(struct request *r) { return (struct exchange *)(void *)r; }

struct exchange *exchange_new(struct plane *p, struct generation *g)
{
    struct exchange *x = freelist_take(&p->exchanges, offsetof(struct exchange, fields));
    x->plane = p;
    x->generation = g;
    x->wake.run = on_wake;
    struct request *r = &x->req;
    arena_init_on(&r->arena, x->first, sizeof x->first, 8192);
    headers_use(&r->headers, x->fields);
    headers_use(&x->res.headers, x->fields_back);
    r->loop = p->loop;
    r->limits = &x->generation->gateway.limits;
    r->timeouts = &x->generation->gateway.timeouts;
    r->security = &x->generation->gateway.security;
    return x;
}

static struct request *on_open(struct loop *loop)
{
    struct plane *p = plane_of(loop);
    struct exchange *x = exchange_new(p, plane_enter(p));
    x->req.started_us = clock_us();
    return &x->req;
}

static void on_ready(struct request *r) { exchange_run(of(r)); }

static void on_refuse(struct request *r, enum rc rc)
{
    struct exchange *x = of(r);
    forward_make_id(x);
    x->client = r->peer;
    r->body = BODY_NONE;        /* whatever follows, it is not a body that we understand */
    r->is_head = r->method == METHOD_HEAD;
    x->hooks = x->generation->gateway.hooks & HOOK_BIT(HOOK_LOG);
    exchange_go_on(x, exchange_fail(x, rc));
}

static void on_client_wake(struct request *r)
{
    struct exchange *x = of(r);
    loop_ready(loop_of(x), &x->wake);
}

/* What comes next when a wait has taken too long. */
static enum next out_of_time(struct exchange *x, enum rc meaning)
{
    if (meaning == RC_AGAIN)
        return NEXT_STEP;           /* that was what it waited for */
    if (x->step == STEP_FLUSH && meaning == RC_CLIENT_SLOW)
        return NEXT_DONE;           /* the reply is out; the rest of the body does not come */
    if (meaning == RC_CONNECT_TIMEOUT || (meaning == RC_TRY_TIMEOUT && x->step == STEP_CONNECT))
        return exchange_connect_failed(x, meaning);
    bool is_first = x->step == STEP_HEAD;
    if (is_first && (meaning == RC_FIRST_BYTE_TIMEOUT || meaning == RC_SEND_TIMEOUT || meaning == RC_TRY_TIMEOUT))
        return exchange_try_late(x, meaning);
    if (x->up && meaning != RC_CLIENT_SLOW && meaning != RC_CLIENT_GONE && meaning != RC_LATE)
        exchange_warn(x, x->node, rc_word(meaning), NULL);
    if (meaning == RC_IDLE_TIMEOUT && x->step == STEP_RELAY)
        exchange_count_failure(x, x->node);
    if (is_first && meaning == RC_ROUTE_TIMEOUT && x->up->request_done)
        exchange_blame_node(x, meaning);
    x->timed_out |= meaning == RC_ROUTE_TIMEOUT || meaning == RC_LATE;
    return exchange_fail(x, meaning);
}

static void on_timeout(struct request *r)
{
    struct exchange *x = of(r);
    struct wait_end end = next_deadline(x);
    if (end.due > loop_of(x)->clock.now_ms) {
        r->ops->arm(r, end.due);
        return;
    }
    if (x->step == STEP_WEBSOCKET && end.meaning == RC_INTERNAL) {
        exchange_go_on(x, NEXT_STEP);         /* a ping, or the end of somebody's time */
        return;
    }
    exchange_go_on(x, out_of_time(x, end.meaning));
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
