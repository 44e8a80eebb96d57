#pragma once
/* websocket: a WebSocket whose frames are looked at: the relay between its ends, and whose it is. */
#include "http/ws_handshake.h"
#include "http/ws_relay.h"
#include "proxy/exchange.h"

struct websocket {
    struct ws_relay relay;
    struct ws_relay_rules rules;
    struct exchange *x;                 /* NULL: it has become a passage */
    struct plane *plane;
    const struct route *route;
    struct task *wake;                  /* runs it */
    struct link in_all;                 /* plane.websockets */
    struct ws_terms terms;              /* of permessage-deflate, where rules.deflate */
    bool offered, offered_bits;         /* the upstream was asked for it; with client_max_window_bits */
    bool is_open;                       /* the handshake is over */
    bool was_opened;                    /* plugins have heard of it */
    bool is_running;                    /* its relay looks at the streams right now */
    uint64_t messages_in, messages_out; /* that were counted */
    bool closes_when_quiet;             /* a reload has changed its route */
};

/* The message counts of the relay's ends since the last time go to the plane's counters. */
void websocket_count(struct websocket *w);
/* When it is to be run at the latest. */
uint64_t websocket_due(struct websocket *w);
/* Closes it, if a reload has changed its route and nothing moves. */
void websocket_leave_when_quiet(struct websocket *w);

/* The loop stops, once what is under way has got its time: all are closed with 1001. */
void websockets_leave(struct plane *p);
/* A generation has come: those whose route it has changed are closed, where the route wants that. */
void websockets_review(struct plane *p, const struct generation *g);
