/* The exchange between the gateway and the client: routing, responses of our own, and how it ends. */
#include "http/url.h"
#include "proxy/forward.h"
#include "proxy/reply.h"
#include "proxy/steps.h"

enum { DRAIN_MAX = 64 * 1024 }; /* unread request body thrown away to keep a connection */

/* -- endings -- */

void exchange_drop_up(struct exchange *x)
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

void exchange_keep_up(struct exchange *x)
{
    struct up *u = x->up;
    if (!u)
        return;
    if (x->splicing || x->tunnel || !up_is_reusable(u)) {
        exchange_drop_up(x);
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

enum next exchange_reply(struct exchange *x, struct span body)
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

enum next exchange_fail(struct exchange *x, enum rc rc)
{
    x->failure = rc;
    exchange_drop_up(x);
    if (x->head_sent || rc == RC_CLIENT_GONE)
        return NEXT_CUT;
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

enum next step_route(struct exchange *x)
{
    struct request *r = &x->req;
    struct router_query q = { r->host, r->path, r->method, r->method_text, r->listener };
    forward_make_id(x);
    forward_find_client(x);
    if (r->method == METHOD_CONNECT)
        return not_found(x, &(struct router_answer){ .allowed = 1u << METHOD_COUNT });
    if (r->security->deny_hidden_files && url_is_hidden(r->path))
        return exchange_fail(x, RC_HIDDEN);
    struct router_answer answer = router_find(x->generation->router, &q);
    if (!answer.route)
        return not_found(x, &answer);
    x->route = (const struct route *)answer.route;
    switch ((enum route_action)x->route->settings.action) {
    case ACTION_RESPOND: return exchange_reply(x, reply_fixed(x));
    case ACTION_REDIRECT: return exchange_reply(x, reply_redirect(x));
    case ACTION_ECHO: return go(x, STEP_ECHO);
    case ACTION_SERVICE: break;
    }
    x->service = x->route->service;
    if ((r->method == METHOD_OPTIONS || r->method == METHOD_TRACE) && !forward_max_forwards(x))
        return exchange_reply(x, reply_options(x));
    forward_request(x);
    forward_path(x);
    return go(x, STEP_PICK);
}

/* -- without an upstream -- */

/* The request body goes back to where it came from, as it comes. */
enum next step_echo(struct exchange *x)
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
            return exchange_fail(x, RC_CLIENT_GONE);
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
            return exchange_fail(x, rc);
        touch(x, WAIT_BODY);
        touch(x, WAIT_CLIENT_WRITE);
        x->req.bytes_out += body.len;
        x->body_ended = last;
        rc = x->req.ops->send_body(&x->req, body, last);
        if (rc != RC_OK && rc != RC_AGAIN)
            return exchange_fail(x, RC_CLIENT_GONE);
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
