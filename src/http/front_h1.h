#pragma once
/* front_h1: client connections that speak HTTP/1.1 (or 1.0), RFC 9112. One struct fronts per loop holds them all. */
#include "base/buf.h"
#include "base/freelist.h"
#include "http/request.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls_context.h"

struct fronts {
    struct loop *loop;
    const struct request_events *events;
    struct freelist free;
    struct link all;                    /* struct front.in_all */
    uint32_t idle_ms;                   /* of the newest generation; between requests */
    uint32_t head_ms;
    uint32_t requests_per_connection;
    _Atomic uint32_t open;              /* written by this loop only */
    uint32_t turned_away;
    bool draining;                      /* every response says Connection: close */
    uint64_t accepted;
};

void fronts_init(struct fronts *set, struct loop *loop, const struct request_events *events);
/* All connections must have ended. */
void fronts_free(struct fronts *set);

/* How an accepted connection begins. */
struct front_start {
    struct tls_context *tls;            /* NULL: plain */
    bool proxy_protocol;                /* it begins with a PROXY header */
    bool trust_proxy;                   /* ... which is believed */
    uint16_t local_port;
    uint32_t listener;                  /* its number, for routes that name listeners */
};
/* Takes the socket; reads at once, because a deferred accept means that bytes are there. */
void fronts_accept(struct fronts *set, int fd, const struct sockaddr *peer, const struct front_start *start);

/* Takes a plain socket that is one too many: says 503 and lets the client read it. */
void fronts_turn_away(struct fronts *set, int fd);

/* Open connections of all loops together. */
uint32_t fronts_open(void);

/* Every connection ends after its next response, an idle one after half a second without a request. */
void fronts_drain(struct fronts *set);
/* Ends every connection now. */
void fronts_cut(struct fronts *set);
