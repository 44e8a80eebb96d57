/* The exchange between the gateway and the client: routing, responses of our own, and how it ends. */
#include "base/log.h"
#include "base/log_limit.h"
#include "http/url.h"
#include "proxy/adhoc.h"
#include "proxy/forward.h"
#include "proxy/handshake.h"
#include "proxy/reply.h"
#include "proxy/steps.h"

enum { DRAIN_MAX = 64 * 1024 }; /* unread request body thrown away to keep a connection */

/* -- endings -- */

void exchange_drop_up(struct exchange *x)
{
    if (x->ticket)
        ticket_drop(x->ticket);
    x->ticket = NULL;
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
    exchange_end_websocket(x);
    up_close(x->up);
    x->up = NULL;
}

void exchange_keep_up(struct exchange *x)
{
    struct up *u = x->up;
    if (!u)
        return;
    if (x->splicing || x->tunnel || x->is_websocket) {
        exchange_drop_up(x);
        return;
    }
    x->up = NULL;
    service_keep(x->service, x->node, x->plane->index, u);
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

static bool is_bodiless(const struct exchange *x)
{
    return x->req.is_head || x->res.status == 204 || x->res.status == 304;
}

/* All of a reply goes through the plugins at once: its length is known before its head leaves. */
enum next step_answer(struct exchange *x)
{
    exchange_settle_framing(x);
    if (has(x, HOOK_RESPONSE_BODY) && !x->filter_done && x->answer.len && !is_bodiless(x)) {
        struct slice chunk = slice_make(x->answer.at, x->answer.len);
        x->filter_begun = true;
        enum rc rc = x->plane->hooks->filter(x, HOOK_RESPONSE_BODY, &chunk, true);
        if (rc == RC_AGAIN)
            return NEXT_WAIT;
        x->filter_done = true;
        if (rc != RC_OK)
            return exchange_fail(x, rc);
        exchange_set_answer(x, chunk);
    }
    if (x->req.body != BODY_NONE && !x->body_ended && !x->source_ended && !will_drain(x))
        x->res.close = true;
    x->head_sent = true;
    x->req.bytes_out += x->answer.len;
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, x->answer, true);
    if (rc != RC_OK && rc != RC_AGAIN) {
        x->failure = RC_CLIENT_GONE;
        return NEXT_CUT;
    }
    return go(x, STEP_FLUSH);
}

/* A plugin has put another status or body into the response: RFC 9110 section 6.4.1 says which have a body. */
void exchange_settle_framing(struct exchange *x)
{
    struct response *p = &x->res;
    if (!x->reframed || p->status < 200)
        return;
    x->reframed = false;
    if (p->status == 204 || p->status == 304) {
        if (x->up)
            exchange_drop_body(x);
        x->gathered_back = false;
        x->answer.len = 0;
        headers_skip(&p->headers, HEADER_CONTENT_LENGTH);
        p->body = BODY_NONE;
    } else if (p->body == BODY_NONE) {
        p->body = BODY_SIZED;
        p->body_bytes = x->answer.len;
    }
}

void exchange_set_answer(struct exchange *x, struct slice body)
{
    x->answer = (struct span){ (char *)(uintptr_t)body.at, body.len, 0, 0 };
    if (x->res.body == BODY_NONE && !body.len)
        return;
    headers_skip(&x->res.headers, HEADER_CONTENT_LENGTH);
    x->res.body = BODY_SIZED;
    x->res.body_bytes = body.len;
}

enum next exchange_reply(struct exchange *x, struct span body)
{
    x->answer = body;
    if (!has(x, HOOK_RESPONSE) || x->response_hooked)
        return step_answer(x);
    x->response_hooked = true;
    return go(x, STEP_RESPONSE);
}

enum next exchange_fail(struct exchange *x, enum rc rc)
{
    x->failure = rc;
    if (!x->head_sent)
        x->source = SOURCE_GATEWAY;
    exchange_drop_second(x);
    exchange_drop_up(x);
    bool is_bad = rc != RC_LATE && (rc_status(rc) == 502 || rc_status(rc) == 504);
    overload_note(&x->place, is_bad && rc_status(rc) == 504, loop_of(x));
    exchange_leave_service(x);
    exchange_tell_breakers(x, is_bad ? BREAKER_BAD : BREAKER_NOTHING);
    x->gather = GATHER_NOTHING;
    x->filter_done |= x->filter_begun;  /* an error page does not go where the answer has failed */
    if (x->number)
        x->plane->hooks->cancel(x);
    if (x->head_sent || rc == RC_CLIENT_GONE)
        return NEXT_CUT;
    if (has(x, HOOK_FAILURE) && !x->failure_hooked) {
        x->failure_hooked = true;
        return go(x, STEP_FAILURE);
    }
    return exchange_reply(x, reply_error(x, rc));
}

/* -- routing -- */

static enum next not_found(struct exchange *x, const struct router_answer *answer)
{
    if (!answer->allowed && !answer->any_other)
        return exchange_fail(x, RC_NO_ROUTE);
    x->failure = RC_METHOD;
    return exchange_reply(x, reply_method_not_allowed(x, answer));
}

enum next step_start(struct exchange *x)
{
    x->req.is_head = x->req.method == METHOD_HEAD;
    x->req.sent_body = x->req.body;
    x->req.sent_body_bytes = x->req.body_bytes;
    forward_make_id(x);
    forward_find_client(x);
    if (is_internal(x))
        return step_internal(x);
    x->hooks = x->generation->gateway.hooks;
    if (x->req.headers.first[HEADER_X_REQUEST_TIMEOUT]) {
        enum rc rc = forward_take_timeout(x);
        if (rc != RC_OK)
            return exchange_fail(x, rc);
    }
    return has(x, HOOK_REQUEST) ? go(x, STEP_GLOBAL) : step_route(x);
}

/* To go on as if the pattern did not match could lead past what guards a route. */
static enum next undecided(struct exchange *x, struct slice source)
{
    static _Thread_local struct log_limit limit;
    if (log_limit_passes(&limit, "router"))
        log_warn("router", rc_word(RC_UNDECIDED), "at", log_slice(source), "client",
                 log_slice(x->req.peer_text), "request", log_slice(x->id));
    return exchange_fail(x, RC_UNDECIDED);
}

static void remember(struct exchange *x, uint64_t now_ms)
{
    char client[ADDR_TEXT];
    const struct request *r = &x->req;
    struct recent_seen seen = { .method = r->method_text, .host = r->host, .path = r->path, .listener = r->listener };
    seen.client = slice_make(client, peer_print_ip(&x->client, client));
    recent_keep(&x->plane->recent, now_ms, &seen);
}

/* *stuck: the condition of which it cannot be told whether it holds; else NULL. */
static void find_route(struct exchange *x, enum method method, struct slice name, struct router_answer *out,
                       const struct question **stuck)
{
    struct request *r = &x->req;
    struct router_query q = { r->host, r->path, method, name, r->listener, NULL };
    struct facts facts;
    if (x->generation->has_conditions) {
        facts = (struct facts){ .request = r, .client = &x->client, .arena = &r->arena };
        q.request = &facts;
    }
    router_find(x->generation->router, &q, out);
    *stuck = q.request ? facts.stuck : NULL;
}

static struct slice field_value(const struct request *r, struct slice name)
{
    for (uint32_t i = 0; i < r->headers.count; i++) {
        const struct header *h = &r->headers.at[i];
        if (!h->removed && slice_equal_nocase(h->name, name))
            return h->value;
    }
    return SLICE_NONE;
}

/* Where no route takes OPTIONS, a CORS preflight (Fetch standard, "CORS-preflight request") belongs to the route of the
 * request that it asks about, if the plugins of that one answer preflights. */
static bool find_preflighted(struct exchange *x, struct router_answer *out, const struct question **stuck)
{
    struct slice method = field_value(&x->req, SLICE_OF("access-control-request-method"));
    if (!method.len || !field_value(&x->req, SLICE_OF("origin")).len)
        return false;
    struct router_answer answer;
    find_route(x, method_of(method), method, &answer, stuck);
    out->is_undecided |= answer.is_undecided;
    if (!answer.route || !((const struct route *)answer.route)->settings.preflight)
        return false;
    *out = answer;
    return true;
}

static void keep_params(struct exchange *x, const struct router_answer *answer)
{
    x->params = arena_alloc(&x->req.arena, answer->param_count * sizeof *x->params);
    memcpy(x->params, answer->params, answer->param_count * sizeof *x->params);
    x->param_count = answer->param_count;
}

enum next step_route(struct exchange *x)
{
    struct request *r = &x->req;
    const struct question *stuck;
    struct router_answer answer;
    uint64_t now_ms = x->plane->loop->clock.now_ms;
    if (recent_is_due(&x->plane->recent, now_ms))
        remember(x, now_ms);
    if (r->method == METHOD_CONNECT)
        return not_found(x, &(struct router_answer){ .allowed = 1u << METHOD_COUNT });
    if (r->security->deny_hidden_files && r->path.at != r->plain_path && url_is_hidden(r->path))
        return exchange_fail(x, RC_HIDDEN);
    find_route(x, r->method, r->method_text, &answer, &stuck);
    if (!answer.route && !stuck && r->method == METHOD_OPTIONS)
        x->preflight = find_preflighted(x, &answer, &stuck);
    if (stuck || answer.is_undecided)
        return undecided(x, stuck ? stuck->settings.source : SLICE_OF("the host or path of a route"));
    if (!answer.route)
        return not_found(x, &answer);
    x->route = (const struct route *)answer.route;
    x->chain = x->route->chain;
    if (answer.param_count)
        keep_params(x, &answer);
    x->hooks = (x->hooks & ~HOOK_BIT(HOOK_REQUEST)) | x->route->settings.hooks;
    return has(x, HOOK_REQUEST) ? go(x, STEP_REQUEST) : step_action(x);
}

/* What the request had of another service goes with it. */
void exchange_use_service(struct exchange *x, struct service_slot *slot)
{
    if (x->service == slot->now[x->plane->index])
        return;
    exchange_leave_service(x);
    breaker_cancel(&x->leave);
    service_leave(x->service, x->plane->index);
    if (!x->adhoc)
        x->node = NULL;
    x->retry = NULL;
    x->retry_for = NULL;
    x->service = service_enter(slot, x->plane->index);
}

/* The route has no service of its own: it has several, or answers by itself where a plugin has named a node. False
 * where the path names none. */
static bool choose_service(struct exchange *x)
{
    const struct route *route = x->route;
    if (route->split)
        x->share = split_choose(route->split, &x->req, &x->plane->random, &x->share_is_new);
    else if (route->by_path)
        x->share = by_path_find(route->by_path, x->req.path);
    if (x->share)
        exchange_use_service(x, x->share->service);
    else
        x->service = adhoc_service();
    return x->share || x->adhoc;
}

/* A service or a node that a plugin chose counts instead of what the route does. */
enum next step_action(struct exchange *x)
{
    struct request *r = &x->req;
    if (x->preflight) {                 /* nobody has answered it: its route does not take it */
        const struct question *stuck;
        struct router_answer answer;
        find_route(x, r->method, r->method_text, &answer, &stuck);
        if (!answer.route)
            return not_found(x, &answer);
    }
    if (has(x, HOOK_REQUEST_BODY) && r->sent_body == BODY_SIZED) {
        headers_skip(&r->headers, HEADER_CONTENT_LENGTH);
        r->sent_body = BODY_STREAMED;   /* its length is what the plugins will make of it */
    }
    switch (x->service || x->adhoc ? ACTION_SERVICE : (enum route_action)x->route->settings.action) {
    case ACTION_RESPOND: return exchange_reply(x, reply_fixed(x));
    case ACTION_REDIRECT: return exchange_reply(x, reply_redirect(x));
    case ACTION_ECHO: return go(x, STEP_ECHO);
    case ACTION_SERVICE: break;
    }
    if (!x->service) {
        if (x->route->service)
            exchange_use_service(x, x->route->service);
        else if (!choose_service(x))
            return exchange_fail(x, RC_NO_SERVICE);
    }
    enum rc handshake = r->wants_upgrade && handshake_is_asked(r) ? exchange_check_handshake(x) : RC_OK;
    if (handshake != RC_OK)
        return exchange_fail(x, handshake);
    if ((r->method == METHOD_OPTIONS || r->method == METHOD_TRACE) && !forward_max_forwards(x))
        return exchange_reply(x, reply_options(x));
    forward_request(x);
    if (x->route->rewrite) {
        enum rc rc = rewrite_apply(x->route->rewrite, r);
        if (rc == RC_UNDECIDED)
            return undecided(x, x->route->settings.source);
        if (rc != RC_OK)
            return exchange_fail(x, rc);
    }
    forward_path(x);
    return exchange_pick(x);
}

/* -- without an upstream -- */

static enum next begin_echo(struct exchange *x)
{
    if (x->req.expects_continue) {
        struct response interim = { .status = 100 };
        x->req.ops->send_interim(&x->req, &interim);
    }
    struct span body = x->answer;
    bool last = x->req.sent_body == BODY_NONE && !has(x, HOOK_RESPONSE_BODY);
    if (has(x, HOOK_RESPONSE_BODY)) {
        exchange_unfix_response(x);
        body.len = 0;                   /* it goes where the rest of the body goes: through the plugins */
    }
    /* The head takes no bytes of the client's body with it: those that came are in the scratch, and safe there. */
    x->head_sent = true;
    x->down_ended = last;
    x->req.bytes_out += body.len;
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, body, last);
    touch(x, WAIT_BODY);
    if (rc == RC_OK && has(x, HOOK_RESPONSE_BODY))
        rc = exchange_send_down(x, x->answer, x->req.sent_body == BODY_NONE);
    return rc == RC_OK || rc == RC_AGAIN ? go(x, STEP_ECHO) : exchange_fail(x, RC_CLIENT_GONE);
}

/* The request goes back to where it came from, its body as it comes. */
enum next step_echo(struct exchange *x)
{
    if (!x->echoes) {
        x->echoes = true;
        x->answer = reply_echo(x);
        if (has(x, HOOK_RESPONSE)) {
            x->response_hooked = true;
            return go(x, STEP_RESPONSE);
        }
    }
    if (!x->head_sent)
        return begin_echo(x);
    for (int turn = 0; !x->down_ended && turn < TURNS; turn++) {
        struct span body = { 0 };
        bool last = false;
        enum rc rc = x->req.ops->flush(&x->req);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_CLIENT_WRITE);
            return NEXT_WAIT;
        }
        if (rc == RC_OK && !x->down_held)
            rc = exchange_request_body(x, &body, &last);
        if (rc == RC_AGAIN) {
            if (!x->lines[LINE_REQUEST_BODY])
                wait_for(x, WAIT_BODY);
            return NEXT_WAIT;
        }
        if (rc == RC_OK)
            rc = exchange_send_down(x, body, last);
        if (rc == RC_AGAIN)
            return NEXT_WAIT;
        if (rc != RC_OK)
            return exchange_fail(x, rc);
        x->body_ended = x->down_ended;
    }
    if (x->down_ended)
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

enum next step_flush(struct exchange *x)
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
