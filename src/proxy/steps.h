#pragma once
/* steps: what the steps of an exchange share. Private to the exchange_*.c files and to
 * the passage that an exchange may become; the runner is exchange.c. */
#include "proxy/exchange.h"

enum step {
    STEP_START, STEP_GLOBAL, STEP_ROUTE, STEP_REQUEST, STEP_ACTION, STEP_UPSTREAM, STEP_PICK, STEP_CONNECT, STEP_SEND,
    STEP_BACKOFF, STEP_HEAD, STEP_RESPONSE, STEP_RELAY, STEP_TUNNEL, STEP_WEBSOCKET, STEP_ECHO, STEP_INTERNAL,
    STEP_FAILURE, STEP_ANSWER, STEP_FLUSH,
};
enum next {
    NEXT_STEP, NEXT_WAIT, NEXT_DONE, NEXT_CUT,
    NEXT_GONE,                  /* the exchange has become a passage */
};

enum {
    TURNS = 16,                 /* reads in a row before others get their turn */
    INTERIM_MAX = 16,           /* 1xx responses before an upstream is called broken */
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
    x->waits |= (uint16_t)w;
}

/* Neither its node nor its service has it in hand any more. */
static inline void exchange_leave_service(struct exchange *x)
{
    balancer_leave(&x->pick);
    if (x->place.overload)
        overload_leave(&x->place, loop_of(x));
}

static inline bool has(const struct exchange *x, enum hook hook) { return x->hooks >> hook & 1; }

/* It came in by a listener that answers about the gateway itself. */
static inline bool is_internal(const struct exchange *x)
{
    return x->generation->internal_listeners >> x->req.listener & 1;
}

/* -- exchange.c -- */

/* Goes on with what a step has said. The exchange may be gone after it. */
void exchange_go_on(struct exchange *x, enum next next);
/* An exchange of this generation, of which there is a reference for it. */
struct exchange *exchange_new(struct plane *p, struct generation *g);
/* Its memory is given back, and nothing else: others have what it held. */
void exchange_recycle(struct exchange *x);

/* When the whole exchange has to be over, in the loop's time; DEADLINE_NEVER: no matter. */
uint64_t exchange_due_ms(const struct exchange *x);
/* When the node has to have answered, where a try has a limit of its own. */
uint64_t exchange_try_due_ms(const struct exchange *x);

/* -- exchange_local.c -- */

/* Gives the upstream connection up: closed, or kept for others where it is fit. */
void exchange_drop_up(struct exchange *x);
void exchange_keep_up(struct exchange *x);
/* x->res is a response of ours with this body. */
enum next exchange_reply(struct exchange *x, struct span body);
/* Before a response leaves: makes its framing fit the status that plugins have given it. */
void exchange_settle_framing(struct exchange *x);
/* Another body for that response, and its length. */
void exchange_set_answer(struct exchange *x, struct slice body);
/* The exchange ends with an error of ours, if the client can still be told. */
enum next exchange_fail(struct exchange *x, enum rc rc);

enum next step_start(struct exchange *x);
enum next step_route(struct exchange *x);
enum next step_action(struct exchange *x);
enum next step_echo(struct exchange *x);
enum next step_answer(struct exchange *x);
enum next step_flush(struct exchange *x);

/* -- exchange_internal.c -- */

enum next step_internal(struct exchange *x);
/* The exchange ends: an answer that still comes is for nobody. */
void exchange_forget_ask(struct exchange *x);

/* -- exchange_upstream.c -- */

/* A node is to be chosen, at first or for another try. */
enum next exchange_pick(struct exchange *x);
/* The upstream's response head, as the plugins left it, goes to the client. */
enum next exchange_send_response(struct exchange *x);

/* The try has failed by the node's fault: its service learns that, if it wants to. */
void exchange_blame_node(struct exchange *x, enum rc rc);

/* The name of the node, where that is what it is to be told as Host. */
void exchange_name_node(struct exchange *x, const struct node *n);

/* Wakes of the connection are the exchange's. */
void exchange_attach(struct exchange *x, struct up *u);

/* The try has brought an answer: so does this. */
void exchange_report_answer(struct exchange *x);

/* How it went, for the breakers of the service and the route that were not told yet. */
enum breaker_news { BREAKER_NOTHING, BREAKER_GOOD, BREAKER_BAD };
void exchange_tell_breakers(struct exchange *x, enum breaker_news news);

enum next step_pick(struct exchange *x);
enum next step_connect(struct exchange *x);
enum next step_send(struct exchange *x);
enum next step_head(struct exchange *x);
/* n: NULL where none is known yet. up: whose reason is told, if it has one; NULL: none. */
void exchange_warn(const struct exchange *x, const struct node *n, const char *what, const struct up *up);
/* A body of a response broke off, or is broken. */
void exchange_note_cut(struct exchange *x);
/* A try has failed at that node. */
void exchange_count_failure(struct exchange *x, const struct node *n);

/* -- exchange_retry.c: what becomes of a try that has failed -- */

/* There is no connection. Nothing of the request was sent: any method may be tried again. */
enum next exchange_connect_failed(struct exchange *x, enum rc rc);
/* The upstream ended (RC_EOF, RC_RESET) before the head of its answer was there. */
enum next exchange_up_died(struct exchange *x, enum rc rc);
/* What came of it is no answer. */
enum next exchange_head_broken(struct exchange *x, enum rc rc);
/* It is late: with the head of its answer, or with taking the request. */
enum next exchange_try_late(struct exchange *x, enum rc rc);
/* Whether there may be a second try at another node now; it is paid for then. */
bool exchange_may_ask_another(struct exchange *x);
/* The answer is one that asks for another try, and there will be one: it is thrown away, *out is what comes next. */
bool exchange_answer_unwanted(struct exchange *x, enum next *out);
enum next step_backoff(struct exchange *x);

/* -- exchange_second.c: a second try beside the first -- */

struct second {
    struct up *up;
    struct node *node;
    struct pick pick;
    uint64_t since_ms, try_us, started_us;      /* as the exchange has them of the first */
    bool reused;
    uint8_t interims;           /* 1xx responses so far, which go nowhere */
    bool is_sent;               /* it has got the request */
};

/* Begins it at another node; those in tried (as of struct pick) are no choice. Where a plugin has named the node, at
 * its next address, which there is. RC_OK: x->second is idle, or on its way;
 * RC_NO_NODE, RC_NODE_FULL, RC_FULL, RC_AGAIN (it would have to wait for a connection); else the node could not be
 * reached, which was told. */
enum rc exchange_begin_second(struct exchange *x, uint64_t tried);
/* It has failed, in these words, and is given up. is_good: by what is no fault of the node. */
void exchange_fail_second(struct exchange *x, bool is_good, const char *why);
/* It takes the place of the first, which is given up. */
void exchange_take_second(struct exchange *x);
/* The first try has failed: the second one, which there is, goes on in its place. */
enum next exchange_go_on_second(struct exchange *x);
/* The second try, if any, is given up. */
void exchange_drop_second(struct exchange *x);

/* -- exchange_hedge.c -- */

/* Nothing has come of the try so far: begins a second one when it is time, and looks at it. RC_OK: it has an answer,
 * which is in x->res, and x->up is its connection; RC_AGAIN. */
enum rc exchange_hedge(struct exchange *x);

/* -- exchange_race.c -- */

/* x->up is not connected yet: the same with a second connection. RC_OK: it is open, and is x->up now; RC_AGAIN. */
enum rc exchange_race(struct exchange *x);
/* x->up is connected: the second one, if any, has lost. */
void exchange_end_race(struct exchange *x);

/* -- exchange_relay.c -- */

/* The next bytes of the request body as the plugins leave them. */
enum rc exchange_request_body(struct exchange *x, struct span *out, bool *last);
/* The same for an upstream: first those of an earlier try. */
enum rc exchange_next_body(struct exchange *x, struct span *out, bool *last);
/* Moves request body bytes upstream as far as both sides allow. Errors are the client's. */
enum rc exchange_pump_up(struct exchange *x);
/* The response's body can go from socket to socket inside the kernel, if it turns out to be large. */
bool exchange_may_splice(const struct exchange *x);
/* Where it will, and more of it is there, the head waits in the kernel for what follows. Gives the client's stream
 * then, with `io.more` set for the write of the head; else NULL. */
struct stream *exchange_hold_head(struct exchange *x);
/* The next bytes of the response body: first those that a plugin has waited for, then the upstream's. */
enum rc exchange_response_body(struct exchange *x, struct span *out, bool *last);
/* Sends a chunk of the response body, through the plugins that want to see it. RC_OK: sent, or kept by the frontend;
 * RC_AGAIN: a plugin waits, call again without a new chunk. */
enum rc exchange_send_down(struct exchange *x, struct span body, bool last);

enum next step_relay(struct exchange *x);

/* What is left of the upstream's body is not sent: the connection is given up, unless the body has ended. */
void exchange_drop_body(struct exchange *x);

/* -- exchange_tunnel.c -- */

/* The 101 goes to the client. */
enum next exchange_start_tunnel(struct exchange *x);
/* So many bytes have come from either side since the 101. */
void exchange_count_tunnel(struct exchange *x, uint64_t in, uint64_t out);
/* RC_END or RC_RESET: how the tunnel has ended. */
enum next exchange_tunnel_over(struct exchange *x, enum rc rc);
/* The client's stream, once the 101 is out. NULL: *next is what is to be done. */
struct stream *exchange_raw_client(struct exchange *x, enum next *next);

enum next step_tunnel(struct exchange *x);

/* -- exchange_websocket.c -- */

/* The request asks for a WebSocket: checked before it goes on. RC_OK, or what is wrong, which was logged. */
enum rc exchange_check_handshake(struct exchange *x);
/* The same of the upstream's 101. */
enum rc exchange_check_switch(struct exchange *x);
/* It is one from now on; the early bytes came with the handshake. */
enum next exchange_start_websocket(struct exchange *x, struct slice early_client, struct slice early_up);
void exchange_end_websocket(struct exchange *x);
/* RC_END or RC_RESET: how its relay has ended. */
enum next exchange_websocket_over(struct exchange *x, enum rc rc);

enum next step_websocket(struct exchange *x);

/* -- exchange_hooks.c -- */

/* A body that is gathered because a plugin wants it whole: as many bytes as there are now. RC_AGAIN: more will come. */
enum gather { GATHER_NOTHING, GATHER_REQUEST, GATHER_RESPONSE };

enum next step_global(struct exchange *x);
enum next step_request(struct exchange *x);
enum next step_upstream(struct exchange *x);
enum next step_response(struct exchange *x);
enum next step_failure(struct exchange *x);
/* Copies an upstream's response head that plugins will look at later than now, unless that was done. */
void exchange_own_head(struct exchange *x);
/* The response will go through response_body hooks: its length and its validators are no longer what they were. */
void exchange_unfix_response(struct exchange *x);
/* The exchange has come to its end, well or not. */
void exchange_run_log(struct exchange *x);
