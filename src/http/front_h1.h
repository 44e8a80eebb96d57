#pragma once
/* front_h1: client connections that speak HTTP/1.1 (or 1.0), RFC 9112. One struct fronts per loop holds them all. */
#include "base/buf.h"
#include "base/freelist.h"
#include "http/greeting.h"
#include "http/host_memo.h"
#include "http/request.h"
#include "net/listener.h"
#include "net/stream_tls.h"

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
    struct host_memo hosts;             /* that clients of this loop have asked for */
};

void fronts_init(struct fronts *set, struct loop *loop, const struct request_events *events);
/* All connections must have ended. */
void fronts_free(struct fronts *set);

/* Takes the socket; reads at once, because a deferred accept means that bytes are there. */
void fronts_accept(struct fronts *set, int fd, const struct sockaddr *peer, const struct front_start *start);

/* For specs: a connection without a socket (net/stream_memory.h), from its first request on. tls: what a handshake
 * would have told, all NULL for a plain one; its texts must outlive the connection. */
void fronts_accept_wire(struct fronts *set, struct wire *w, const struct sockaddr *peer,
                        const struct front_start *start, const struct tls_facts *tls);

/* Takes a plain socket that is one too many: says 503 and lets the client read it. */
void fronts_turn_away(struct fronts *set, int fd);

/* Open connections of all loops together. */
uint32_t fronts_open(void);

/* Every connection ends after its next response, an idle one after half a second without a request. */
void fronts_drain(struct fronts *set);
/* Ends every connection now. */
void fronts_cut(struct fronts *set);
