/* The exchange after a 101: raw bytes both ways. */
#include "proxy/forward.h"
#include "proxy/passage.h"
#include "proxy/steps.h"

static void count_websocket(struct exchange *x)
{
    struct counters *c = &x->plane->counters;
    x->is_websocket = true;
    count(&c->websockets, 1);
    count(&c->websockets_open, 1);
    count(&c->websocket_connect_us, clock_us() - x->req.started_us);
}

enum next exchange_start_tunnel(struct exchange *x)
{
    struct slice early_up = up_detach(x->up, &x->req.arena);
    forward_response(x);
    x->head_sent = true;
    x->res.body = BODY_NONE;
    enum rc rc = x->req.ops->send_head(&x->req, &x->res, (struct span){ 0 }, true);
    if (rc != RC_OK && rc != RC_AGAIN)
        return exchange_fail(x, RC_CLIENT_GONE);
    struct slice early_client = x->req.ops->detach(&x->req);
    if (x->opens_websocket)
        count_websocket(x);
    if (x->websocket)
        return exchange_start_websocket(x, early_client, early_up);
    x->tunnel = arena_alloc(&x->req.arena, sizeof *x->tunnel);
    tunnel_init(x->tunnel, loop_of(x), NULL, &x->up->stream, early_client, early_up);
    touch(x, WAIT_TUNNEL);
    return go(x, STEP_TUNNEL);
}

void exchange_count_tunnel(struct exchange *x, uint64_t in, uint64_t out)
{
    if (x->is_websocket) {
        count(&x->plane->counters.websocket_bytes_in, in - x->req.bytes_in);
        count(&x->plane->counters.websocket_bytes_out, out - x->req.bytes_out);
    }
    x->req.bytes_in = in;
    x->req.bytes_out = out;
}

enum next exchange_tunnel_over(struct exchange *x, enum rc rc)
{
    exchange_drop_up(x);
    return rc == RC_END ? NEXT_DONE : NEXT_CUT;
}

struct stream *exchange_raw_client(struct exchange *x, enum next *next)
{
    if (x->req.ops->flush(&x->req) == RC_AGAIN) {
        wait_for(x, WAIT_CLIENT_WRITE);
        *next = NEXT_WAIT;
        return NULL;
    }
    struct stream *client = x->req.ops->raw(&x->req);
    if (!client)
        *next = exchange_fail(x, RC_CLIENT_GONE);
    return client;
}

enum next step_tunnel(struct exchange *x)
{
    enum next next;
    if (!x->tunnel->out.from) {
        struct stream *client = exchange_raw_client(x, &next);
        if (!client)
            return next;
        x->tunnel->out.from = x->tunnel->back.to = client;
        if (passage_may_begin(x))
            return passage_begin(x);
    }
    bool moved;
    enum rc rc = x->tunnel->out.from->io.fd < 0 ? RC_RESET : tunnel_run(x->tunnel, &moved);
    exchange_count_tunnel(x, x->tunnel->out.bytes, x->tunnel->back.bytes);
    if (rc == RC_END || rc == RC_RESET)
        return exchange_tunnel_over(x, rc);
    if (moved)
        touch(x, WAIT_TUNNEL);
    if (rc == RC_LIMIT)
        loop_ready(loop_of(x), &x->wake);
    wait_for(x, WAIT_TUNNEL);
    return NEXT_WAIT;
}
