#pragma once
/* steps: what the steps of an exchange share. Private to the exchange_*.c files; the runner is exchange.c. */
#include "proxy/exchange.h"

enum step { STEP_ROUTE, STEP_PICK, STEP_CONNECT, STEP_SEND, STEP_HEAD, STEP_RELAY, STEP_TUNNEL, STEP_ECHO, STEP_FLUSH };
enum next { NEXT_STEP, NEXT_WAIT, NEXT_DONE, NEXT_CUT };

enum {
    TURNS = 16,                 /* reads in a row before others get their turn */
};

static inline enum next go(struct exchange *x, enum step step)
{
    x->step = (uint8_t)step;
    return NEXT_STEP;
}

static inline struct loop *loop_of(const struct exchange *x) { return x->plane->loop; }

/* A wait begins, or has made progress: its time counts from now. */
static inline void touch(struct exchange *x, enum wait w)
{
    x->since_ms[__builtin_ctz(w)] = loop_of(x)->clock.now_ms;
}

/* The exchange waits for w, until the time limit of that wait. */
static inline void wait_for(struct exchange *x, enum wait w)
{
    if (!x->since_ms[__builtin_ctz(w)] || (w == WAIT_CLIENT_WRITE && x->req.written != x->written_seen) ||
        (w == WAIT_UP_WRITE && x->up->sent != x->sent_seen))
        touch(x, w);
    x->written_seen = x->req.written;
    x->sent_seen = x->up ? x->up->sent : 0;
    x->waits |= (uint8_t)w;
}

/* -- exchange_local.c -- */

/* Gives the upstream connection up: closed, or kept for others where it is fit. */
void exchange_drop_up(struct exchange *x);
void exchange_keep_up(struct exchange *x);
/* x->res is a response of ours with this body. */
enum next exchange_reply(struct exchange *x, struct span body);
/* The exchange ends with an error of ours, if the client can still be told. */
enum next exchange_fail(struct exchange *x, enum rc rc);

enum next step_route(struct exchange *x);
enum next step_echo(struct exchange *x);
enum next step_flush(struct exchange *x);

/* -- exchange_upstream.c -- */

enum next step_pick(struct exchange *x);
enum next step_connect(struct exchange *x);
enum next step_send(struct exchange *x);
enum next step_head(struct exchange *x);
/* Nothing of the request was sent: any method may be tried again, on another node. */
enum next exchange_connect_failed(struct exchange *x, enum rc rc);

/* -- exchange_relay.c -- */

/* The next bytes of the request body: first those of an earlier try, then the frontend's. */
enum rc exchange_next_body(struct exchange *x, struct span *out, bool *last);
/* Moves request body bytes upstream as far as both sides allow. Errors are the client's. */
enum rc exchange_pump_up(struct exchange *x);
enum next exchange_start_tunnel(struct exchange *x);

enum next step_relay(struct exchange *x);
enum next step_tunnel(struct exchange *x);
