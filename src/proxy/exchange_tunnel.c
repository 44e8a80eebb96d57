/* The exchange after a 101: raw bytes both ways. */
#include "proxy/forward.h"
#include "proxy/steps.h"

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
    x->tunnel = arena_alloc(&x->req.arena, sizeof *x->tunnel);
    tunnel_init(x->tunnel, loop_of(x), NULL, &x->up->stream, early_client, early_up);
    touch(x, WAIT_TUNNEL);
    return go(x, STEP_TUNNEL);
}

enum next step_tunnel(struct exchange *x)
{
    if (!x->tunnel->out.from) {
        /* The 101 itself must be out before raw bytes may follow it. */
        if (x->req.ops->flush(&x->req) == RC_AGAIN) {
            wait_for(x, WAIT_CLIENT_WRITE);
            return NEXT_WAIT;
        }
        struct stream *client = x->req.ops->raw(&x->req);
        if (!client)
            return exchange_fail(x, RC_CLIENT_GONE);
        x->tunnel->out.from = x->tunnel->back.to = client;
    }
    bool moved;
    enum rc rc = x->tunnel->out.from->io.fd < 0 ? RC_RESET : tunnel_run(x->tunnel, &moved);
    x->req.bytes_in = x->tunnel->out.bytes;
    x->req.bytes_out = x->tunnel->back.bytes;
    if (rc == RC_END || rc == RC_RESET) {
        exchange_drop_up(x);
        return rc == RC_END ? NEXT_DONE : NEXT_CUT;
    }
    if (moved)
        touch(x, WAIT_TUNNEL);
    if (rc == RC_LIMIT)
        loop_ready(loop_of(x), &x->wake);
    wait_for(x, WAIT_TUNNEL);
    return NEXT_WAIT;
}
