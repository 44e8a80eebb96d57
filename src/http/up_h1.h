#pragma once
/* up_h1: one upstream connection that speaks HTTP/1.1. It writes a request, and gives the response head and then body
 * bytes. It knows no pool and no retry; whoever holds it is told through on_wake that something may have become
 * possible. */
#include "base/buf.h"
#include "base/freelist.h"
#include "http/h1_chunked.h"
#include "http/h1_input.h"
#include "http/h1_output.h"
#include "http/request.h"
#include "net/stream.h"
#include "net/tls_context.h"

struct up {
    struct stream stream;
    struct loop *loop;
    struct freelist *home;              /* where its memory goes back to */
    void (*on_wake)(struct up *u);      /* while it is held */
    void *holder;                       /* the exchange, or the pool's node */
    struct link in_pool;                /* pool.idle, oldest first */
    void (*on_end)(struct up *u);       /* whoever counts it is told that it closes; NULL: nobody does */
    void *counted_by;
    struct grave grave;
    struct h1_input input;
    struct h1_output output;
    uint64_t born_ms;
    uint64_t idle_due_ms;               /* in a pool: when it has been idle too long */
    uint32_t keep_ms;                   /* so long the upstream keeps it while it is idle; 0: it has not said */
    uint32_t requests_max;              /* ... and for so many requests; 0: it has not said */
    uint64_t body_left;
    uint64_t sent_before;               /* bytes this connection had sent before the current request */
    uint64_t sent;                      /* bytes the kernel took, ever */
    struct chunked chunked;
    struct buf trailers;                /* lines behind a response in chunks, until the next request */
    uint32_t requests;
    uint8_t body;                       /* enum body_kind of the response */
    bool connecting, shaking;
    bool keep;                          /* the upstream leaves the connection open */
    bool request_done, head_done, response_done;
    bool got_bytes;                     /* of the current response */
    bool large;                         /* the last response was UP_LARGE at least: the next one may be, too */
    bool head_begun;                    /* what was put aside is the beginning of a head, and was looked at */
    const char *why;                    /* RC_UPSTREAM_BAD, or RC_UPSTREAM_TLS, in words: static, or until another TLS
                                         * handshake fails in this thread. NULL: nothing was wrong yet */
};

/* An idle connection on its way to another loop. */
struct up_parcel {
    struct stream stream;
    void (*on_end)(struct up *u);
    void *counted_by;
    uint64_t born_ms, sent;
    uint32_t requests, requests_max;
};

enum {
    UP_HEAD_BYTES = 64 * 1024, UP_HEADERS = 256,
    UP_LARGE = 64 * 1024,       /* bodies of which so much is to come are worth a pipe; fewer bytes are copied sooner */
};

/* Starts to connect. NULL with errno-like words in why when the kernel refuses at once. server_name (for TLS) is used
 * during the call only. */
struct up *up_connect(struct loop *loop, struct freelist *home, const struct addr *to, struct tls_context *tls,
                      const char *server_name);
/* RC_OK: connected (and the TLS handshake done). RC_AGAIN. RC_REFUSED, RC_UNREACHABLE, RC_UPSTREAM_TLS. */
enum rc up_check(struct up *u);
/* The peer has said nothing to a connect, neither yes nor no. */
static inline bool up_is_unanswered(const struct up *u)
{
    return u->connecting && !(u->stream.io.ready & (IO_WRITABLE | IO_ERROR | IO_HUP));
}
/* Closes and frees. */
void up_close(struct up *u);

/* Takes a connection that is reusable, and is in no pool, out of its loop; u is gone. */
void up_pack(struct up *u, struct up_parcel *out);
/* The same connection in another loop. NULL: the kernel refuses; it is closed, and on_end was not called. */
struct up *up_unpack(const struct up_parcel *p, struct loop *loop, struct freelist *home);

/* A new request on an open connection. RC_OK: all taken by the socket; RC_AGAIN: kept, bring no more before a wake-up;
 * RC_RESET: the upstream closed. */
enum rc up_send_head(struct up *u, const struct request *r, struct span body, bool last);
enum rc up_send_body(struct up *u, struct span body, bool last);
enum rc up_flush(struct up *u);

/* The next response head. Its fields may be views of the loop's scratch: they hold until something else is read on this
 * loop, which is long enough to write them on. Interim heads (1xx) come one by one. alone: the body is better left in
 * the socket, but for the few bytes that come with the head.
 * RC_OK, RC_AGAIN, RC_EOF (closed before the first byte), RC_RESET (closed or reset within), RC_UPSTREAM_BAD. */
enum rc up_read_head(struct up *u, struct request *r, struct response *p, bool alone);
/* The next body bytes, a view until the next call on this loop. RC_OK (maybe none when *last), RC_AGAIN, RC_RESET (the
 * body is cut), RC_UPSTREAM_BAD. */
enum rc up_read_body(struct up *u, struct span *out, bool *last);
/* Bytes have come that nobody asked for yet. */
static inline bool up_has_bytes(const struct up *u) { return h1_input_waits(&u->input); }
/* A read would find something: bytes, or the connection's end. */
static inline bool up_may_read(const struct up *u) { return up_has_bytes(u) || u->stream.io.ready & IO_READABLE; }
/* All of the request was given to it, and the socket has taken it. */
static inline bool up_has_all(const struct up *u) { return u->request_done && !buf_len(&u->output.kept); }
/* Puts bytes that still lie in the loop's scratch aside; before the callback returns. */
void up_settle(struct up *u);
/* After a 101: the bytes that came behind it, in the arena. The connection is a plain stream from then on. */
struct slice up_detach(struct up *u, struct arena *a);

/* The exchange is complete on both sides and nothing is left over: fit for another request. */
bool up_is_reusable(struct up *u);
/* After an end of the stream (RC_EOF): true when the peer's kernel cannot have taken a byte of the current request. An
 * end acknowledges what came before it; a reset does not, so there only an unsent request is harmless. */
bool up_sent_nothing(const struct up *u);
