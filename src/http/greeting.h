#pragma once
/* greeting: what comes before the first request on a client's connection: a PROXY header where the listener expects
 * one, then the TLS handshake. A client that speaks plain HTTP to a TLS listener is told so. */
#include "net/addr.h"
#include "net/stream.h"
#include "net/tls_context.h"

struct greeting {
    struct tls_context *tls;            /* kept until the handshake; NULL: plain */
    struct peer peer;                   /* who is connected, or who a trusted PROXY header named */
    uint16_t local_port;                /* the port that the client connected to */
    bool trusts_proxy;
    uint8_t step;                       /* private */
};

/* How an accepted connection begins. */
struct front_start {
    struct tls_context *tls;            /* NULL: plain */
    bool proxy_protocol;                /* it begins with a PROXY header */
    bool trust_proxy;                   /* ... which is believed */
    uint16_t local_port;
    uint32_t listener;                  /* its number, for routes that name listeners */
};

/* *g is all zero. peer: who is connected. */
void greeting_init(struct greeting *g, const struct sockaddr *peer, const struct front_start *start);

static inline bool greeting_is_over(const struct greeting *g) { return g->step == 0; }

/* Goes on with it. s is plain until the handshake.
 * RC_OK         requests may follow
 * RC_AGAIN      ask again when the socket is readable
 * RC_MALFORMED  not TLS: the client has its answer, let it read that
 * else          close */
enum rc greeting_run(struct greeting *g, struct stream *s, struct loop *loop);

/* Before the connection goes, at whatever step. */
void greeting_end(struct greeting *g);
