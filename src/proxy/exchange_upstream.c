/* The exchange on the upstream's side: choosing a node, reaching it, sending the head and reading the answer's. */
#include "base/log.h"
#include "base/log_limit.h"
#include "http/h1_trailers.h"
#include "proxy/adhoc.h"
#include "proxy/forward.h"
#include "proxy/hash_key.h"
#include "proxy/seats.h"
#include "proxy/steps.h"

/* -- choosing and reaching a node -- */

enum next exchange_pick(struct exchange *x)
{
    return has(x, HOOK_UPSTREAM) ? go(x, STEP_UPSTREAM) : step_pick(x);
}

void exchange_warn(const struct exchange *x, const struct node *n, const char *what, const struct up *up)
{
    struct slice service = x->service->settings.name;
    log_warn("upstream", what, "why", up ? up->why : NULL, "service", service.len ? log_slice(service) : NULL, "node",
                 n ? n->text : NULL,
             "request", log_slice(x->id));
}

static void note_failed(const struct node *n)
{
    if (n && n->state)
        atomic_fetch_add_explicit(&n->state->failed, 1, memory_order_relaxed);
}

void exchange_count_failure(struct exchange *x, const struct node *n)
{
    count(&x->plane->counters.upstream_failures, 1);
    note_failed(n);
}

void exchange_note_cut(struct exchange *x)
{
    exchange_count_failure(x, x->node);
    exchange_warn(x, x->node, "response body cut", x->up);
}

/* What the service learns from this try. Once per try; an answer that ends badly is told after all. */
static void report(struct exchange *x, bool is_good, const char *why)
{
    if (!x->try_us)
        return;
    uint64_t us = clock_us() - x->try_us;
    x->try_us = 0;
    service_report(x->service, x->node, is_good, why, us, loop_of(x)->clock.now_ms);
}

void exchange_report_answer(struct exchange *x)
{
    bool is_good = service_is_answer(x->res.status);
    if (!is_good)
        note_failed(x->node);
    report(x, is_good, status_reason(x->res.status).at);
}

void exchange_blame_node(struct exchange *x, enum rc rc) { report(x, false, rc_word(rc)); }

static inline void tell(struct breaker_leave *leave, enum breaker_news news, uint64_t now_ms)
{
    if (!leave->breaker)
        return;
    if (news == BREAKER_NOTHING)
        breaker_cancel(leave);
    else
        breaker_report(leave, news == BREAKER_BAD, now_ms);
}

void exchange_tell_breakers(struct exchange *x, enum breaker_news news)
{
    uint64_t now_ms = loop_of(x)->clock.now_ms;
    tell(&x->leave, news, now_ms);
    tell(&x->route_leave, news, now_ms);
}

/* Asked once per request, however many tries it takes. */
static enum rc ask_breaker(struct exchange *x, struct breaker *b, const struct breaker_settings *s,
                           struct breaker_leave *leave)
{
    uint64_t wait_ms = 0;
    if (leave->breaker && leave->settings == s)
        return RC_OK;
    breaker_cancel(leave);              /* a plugin has chosen another service meanwhile */
    enum rc rc = breaker_ask(b, s, loop_of(x)->clock.now_ms, leave, &wait_ms);
    x->retry_after_s = (uint32_t)((wait_ms + 999) / 1000);
    return rc;
}

static enum rc ask_breakers(struct exchange *x)
{
    const struct breaker_settings *service = &x->service->settings.breaker, *route = &x->route->settings.breaker;
    enum rc rc = RC_OK;
    if (route->is_on)
        rc = ask_breaker(x, &x->route->state->breaker, route, &x->route_leave);
    if (rc == RC_OK && service->is_on && !x->adhoc)
        rc = ask_breaker(x, &x->service->state->breaker, service, &x->leave);
    return rc;
}

static enum next take_node(struct exchange *x, struct node *n)
{
    x->node = n;
    x->try_since_ms = loop_of(x)->clock.now_ms;
    x->try_us = x->service->is_watched && n->state ? clock_us() : 0;
    exchange_name_node(x, n);
    x->tries++;
    count(&x->plane->counters.upstream_tries, 1);
    return go(x, STEP_CONNECT);
}

/* The node of a plugin's: its name may have to be resolved first. */
static enum next pick_adhoc(struct exchange *x)
{
    if (x->step != STEP_PICK)
        touch(x, WAIT_CONNECT);
    (void)go(x, STEP_PICK);
    balancer_leave(&x->pick);
    enum rc rc = adhoc_pick(x->adhoc, x->service, &x->node);
    if (rc == RC_OK)
        return take_node(x, x->node);
    if (rc != RC_AGAIN) {
        exchange_warn(x, x->node, adhoc_why(x->adhoc), NULL);
        return exchange_fail(x, rc);
    }
    wait_for(x, WAIT_CONNECT);
    return NEXT_WAIT;
}

/* Once per request and service: what is tried again, and one more request for its budget. */
static void begin_tries(struct exchange *x)
{
    const struct retry_settings *service = &x->service->settings.retry, *route = &x->route->settings.retry;
    if (x->retry_for == x->service)
        return;
    x->retry_for = x->service;
    x->retry = service;
    if (route->given) {
        struct retry_settings *merged = arena_alloc(&x->req.arena, sizeof *merged);
        retry_merge(service, route, merged);
        x->retry = merged;
    }
    if (x->service->state && x->retry->attempts)
        retry_count(&x->service->state->retries, loop_of(x)->clock.now_ms);
}

/* A place among the requests that its service has at a time; once per request, however many tries it takes. */
static enum rc take_place(struct exchange *x)
{
    struct overload *o = &x->service->state->overload;
    bool waited = x->ticket;
    if (x->place.overload == o)
        return RC_OK;
    overload_leave(&x->place, loop_of(x));      /* a plugin has chosen another service meanwhile */
    enum rc rc = overload_enter(o, loop_of(x), &x->plane->tickets, &x->wake, &x->ticket, &x->place);
    if (rc != RC_AGAIN)
        return rc;
    (void)go(x, STEP_PICK);
    if (!waited)
        touch(x, WAIT_QUEUE);
    wait_for(x, WAIT_QUEUE);
    return rc;
}

enum next step_pick(struct exchange *x)
{
    begin_tries(x);
    if (x->service->settings.overload.is_on && !x->adhoc) {
        enum rc rc = take_place(x);     /* before the breaker: who waits here is no probe */
        if (rc != RC_OK)
            return rc == RC_AGAIN ? NEXT_WAIT : exchange_fail(x, rc);
    }
    if (ask_breakers(x) != RC_OK)
        return exchange_fail(x, RC_OPEN);
    if (x->adhoc)
        return pick_adhoc(x);
    hash_key_find(x);
    struct node *n = x->service->seats ? seats_pick(x) : NULL;
    if (!n)
        n = balancer_pick(&x->pick, x->service, x->plane->index, loop_of(x)->clock.now_ms);
    return n ? take_node(x, n) : exchange_fail(x, service_lacks(x->service));
}

static void on_up_wake(struct up *u)
{
    struct exchange *x = u->holder;
    loop_ready(loop_of(x), &x->wake);
}

void exchange_attach(struct exchange *x, struct up *u)
{
    u->holder = x;
    u->on_wake = on_up_wake;
}

/* All connections to the node are in use, and its queue is full: another one may have room. */
static enum next node_is_full(struct exchange *x)
{
    static _Thread_local struct log_limit limit;
    if (!x->adhoc && ++x->full < x->service->node_count && x->full < UINT8_MAX)
        return exchange_pick(x);
    if (log_limit_passes(&limit, "pool"))
        exchange_warn(x, x->node, rc_word(RC_NODE_FULL), NULL);
    return exchange_fail(x, RC_NODE_FULL);
}

/* RC_OK: a connection is in hand, idle or on its way. */
static enum rc take_connection(struct exchange *x)
{
    struct up *u;
    bool waited = x->ticket;
    enum rc rc = supply_take(&x->ticket, x->service, x->node, x->plane, &x->wake, false, &u);
    if (rc == RC_AGAIN) {
        if (!waited)
            touch(x, WAIT_QUEUE);
        wait_for(x, WAIT_QUEUE);
    }
    if (rc != RC_OK)
        return rc;
    if (waited)
        x->try_since_ms = loop_of(x)->clock.now_ms;
    if (waited && x->try_us)
        x->try_us = clock_us();         /* what it waited for here is not the node's latency */
    exchange_attach(x, u);
    x->up = u;
    x->up_deaf = false;
    x->full = 0;
    x->reused = u->requests > 0;
    if (x->reused) {
        count(&x->plane->counters.upstream_reused, 1);
    } else {
        touch(x, WAIT_CONNECT);
        touch(x, WAIT_SECOND);
    }
    return RC_OK;
}

enum next step_connect(struct exchange *x)
{
    if (!x->up) {
        enum rc rc = take_connection(x);
        if (rc == RC_AGAIN)
            return NEXT_WAIT;
        if (rc == RC_NODE_FULL)
            return node_is_full(x);
        if (rc == RC_FULL)
            return exchange_fail(x, rc);        /* no node can be reached now, and none is to blame */
        if (rc != RC_OK)
            return exchange_connect_failed(x, rc);
        if (x->reused)
            return go(x, STEP_SEND);
        x->up_started_us = clock_us();
    }
    enum rc rc = up_check(x->up);
    if (rc == RC_AGAIN && x->service->settings.connect_delay_ms)
        rc = exchange_race(x);
    else if (rc == RC_OK)
        exchange_end_race(x);
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
    bool last = x->req.sent_body == BODY_NONE;
    x->replay_at = 0;
    if (!last) {
        enum rc rc = exchange_next_body(x, &body, &last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return exchange_fail(x, rc);
        if (rc == RC_AGAIN)
            body = (struct span){ 0 }, last = false;
    }
    x->request_sent = true;
    if (x->req.trailers.len)            /* they came before plugins had changed the head */
        x->req.trailers = h1_trailers_pick(x->req.trailers, &x->req.headers, &x->req.arena);
    if (x->service->settings.timeout_header) {
        uint64_t due_ms = exchange_due_ms(x), try_due_ms = exchange_try_due_ms(x);
        forward_timeout(x, due_ms < try_due_ms ? due_ms : try_due_ms);
    }
    enum rc rc = up_send_head(x->up, &x->req, body, last);
    if (rc != RC_OK && rc != RC_AGAIN)
        x->up_deaf = true;      /* maybe an answer came before the close: look */
    touch(x, WAIT_UP_WRITE);
    x->since_ms[__builtin_ctz(WAIT_HEAD)] = x->since_ms[__builtin_ctz(WAIT_SECOND)] = 0;
    return go(x, STEP_HEAD);
}

/* -- the response -- */

/* RC_OK: take the next head. */
static enum rc pass_interim(struct exchange *x)
{
    if (++x->interims > INTERIM_MAX) {
        x->up->why = "too many 1xx responses";
        return RC_UPSTREAM_BAD;
    }
    if (x->res.status != 100 || x->req.expects_continue) {
        forward_response(x);
        x->req.ops->send_interim(&x->req, &x->res);
    }
    return RC_OK;
}

enum next exchange_send_response(struct exchange *x)
{
    struct span body = { 0 };
    bool last = x->up->response_done && !x->gathered_back;
    if (x->res.status == 101)
        return exchange_start_tunnel(x);
    exchange_settle_framing(x);
    last = x->up->response_done && !x->gathered_back;
    if (has(x, HOOK_RESPONSE_BODY))
        exchange_unfix_response(x);
    /* Body bytes that came with the head leave with it. */
    if (!x->filters && !last && (x->gathered_back || up_has_bytes(x->up))) {
        enum rc rc = exchange_response_body(x, &body, &last);
        if (rc != RC_OK && rc != RC_AGAIN) {
            exchange_note_cut(x);
            return exchange_fail(x, rc);
        }
    }
    if (x->up->response_done)
        exchange_leave_service(x);       /* before the client can have the answer, and ask again */
    x->req.bytes_out += body.len;
    x->head_sent = true;
    touch(x, WAIT_CLIENT_WRITE);
    touch(x, WAIT_UP_READ);
    struct stream *held = exchange_hold_head(x);
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, body, last);
    if (held)
        held->io.more = false;
    if (x->filters || has(x, HOOK_LOG))
        exchange_own_head(x);
    if (rc != RC_OK && rc != RC_AGAIN)
        return exchange_fail(x, RC_CLIENT_GONE);
    return last ? go(x, STEP_FLUSH) : go(x, STEP_RELAY);
}

/* A plugin has sent another method than the client's: what has a body there has none here, or the other way round. */
static void reframe_for_client(struct exchange *x)
{
    if (x->req.is_head) {
        exchange_drop_body(x);
        return;
    }
    headers_skip(&x->res.headers, HEADER_CONTENT_LENGTH);
    x->res.body = BODY_SIZED;
    x->res.body_bytes = 0;
}

/* Only a service that answers is one to stay at. */
static void keep_share(struct exchange *x)
{
    if (x->share_is_new && x->service->slot == x->share->service)
        headers_add(&x->res.headers, &x->req.arena, HEADER_SET_COOKIE, header_name(HEADER_SET_COOKIE),
                    split_set_cookie(x->share, x->req.is_tls));
}

static enum next take_response(struct exchange *x)
{
    if (x->second)
        exchange_drop_second(x);
    if (x->generation->log_count || has(x, HOOK_LOG))
        x->first_byte_us = clock_us();
    x->source = SOURCE_UPSTREAM;
    exchange_tell_breakers(x, x->res.status >= 500 ? BREAKER_BAD : BREAKER_GOOD);
    if (x->try_us)
        exchange_report_answer(x);
    if (x->place.overload) {
        overload_note(&x->place, x->res.status < 500, loop_of(x));
        if (x->res.status == 101)       /* what comes now is no request, and may last for days */
            overload_leave(&x->place, loop_of(x));
    }
    if (x->req.is_head != (x->req.method == METHOD_HEAD))
        reframe_for_client(x);
    if (x->res.status != 101)
        forward_response(x);
    if (x->share)
        keep_share(x);
    if (!has(x, HOOK_RESPONSE))
        return exchange_send_response(x);
    x->response_hooked = true;
    return go(x, STEP_RESPONSE);
}

enum next step_head(struct exchange *x)
{
    enum rc rc = up_has_all(x->up) ? RC_OK : exchange_pump_up(x);
    if (rc != RC_OK)
        return exchange_fail(x, rc);
    for (;;) {
        bool alone = x->up->large && exchange_may_splice(x);
        rc = up_may_read(x->up) ? up_read_head(x->up, &x->req, &x->res, alone) : RC_AGAIN;
        if (rc == RC_AGAIN && x->retry->hedge_ms)
            rc = exchange_hedge(x);
        if (rc == RC_AGAIN) {
            if (x->up->request_done && !(x->waits & WAIT_UP_WRITE))
                wait_for(x, WAIT_HEAD);
            return NEXT_WAIT;
        }
        if (rc == RC_EOF || rc == RC_RESET)
            return exchange_up_died(x, rc);
        if (rc == RC_OK && x->res.status == 101) {
            rc = exchange_check_switch(x);
            if (rc == RC_OK)
                return take_response(x);
        } else if (rc == RC_OK && x->res.status < 200) {
            rc = pass_interim(x);
            if (rc == RC_OK)
                continue;
        }
        if (rc != RC_OK)
            return exchange_head_broken(x, rc);
        enum next next;
        if (x->res.status >= 400 && exchange_answer_unwanted(x, &next))
            return next;
        return take_response(x);
    }
}
