#pragma once
/* request: the one model of a request and its response, whatever protocol speaks on either side. A frontend (front_h1,
 * later front_h2) makes a request of bytes and takes the response; an upstream protocol (up_h1, later up_fastcgi) makes
 * bytes of a request and gives the response. Neither knows the other; the exchange moves bodies between them. */
#include "base/arena.h"
#include "http/header.h"
#include "http/limits.h"
#include "net/addr.h"
#include "net/loop.h"

#define METHOD_TABLE(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(OPTIONS) X(PATCH) X(CONNECT) X(TRACE)
#define METHOD_ENUM(name) METHOD_##name,
enum method { METHOD_OTHER, METHOD_TABLE(METHOD_ENUM) METHOD_COUNT };
#undef METHOD_ENUM

enum method method_of(struct slice name);
/* A bit per method: RFC 9110 section 9.2.2. */
enum {
    METHODS_IDEMPOTENT = 1 << METHOD_GET | 1 << METHOD_HEAD | 1 << METHOD_PUT | 1 << METHOD_DELETE |
                         1 << METHOD_OPTIONS | 1 << METHOD_TRACE,
};

/* A run of body bytes with free room around it, so that framing can be put there without a copy. */
struct span {
    char *at;
    size_t len;
    size_t before, after;       /* writable bytes in front of and behind it */
};

enum body_kind {
    BODY_NONE,
    BODY_SIZED,                 /* length is known */
    BODY_STREAMED,              /* ends when the sender says so: chunked, or END_STREAM later */
    BODY_TO_CLOSE,              /* ends with the connection: responses only */
};

struct request;
struct response;
struct front_ops;

/* Who has a client's connection that is nothing but a stream any more, in place of a request. */
struct pipe_end {
    const struct front_ops *ops;
    void *front;                        /* the frontend's own */
    void (*wake)(struct pipe_end *p);   /* something may have become possible */
    void (*timeout)(struct pipe_end *p);        /* the deadline set by ops->arm_pipe has come */
};

/* What an exchange may ask of the frontend that made the request. */
struct front_ops {
    /* The next body bytes, a view until the next call on this loop. RC_OK (maybe none when *last: the body ends with
     * them), RC_AGAIN, else the client broke the message or went away. Must be asked before anything else is read into
     * the loop's scratch, because body bytes that came with the head still lie there. */
    enum rc (*read_body)(struct request *r, struct span *out, bool *last);
    /* An interim response (1xx but 101). Dropped where the client could not understand it. */
    void (*send_interim)(struct request *r, const struct response *p);
    /* The head, and the first body bytes if there are any; last: the body ends with them. What does not fit into the
     * socket is kept: RC_AGAIN then means "taken, but bring no more before a wake-up". RC_CLIENT_GONE: cut. */
    enum rc (*send_head)(struct request *r, struct response *p, struct span body, bool last);
    enum rc (*send_body)(struct request *r, struct span body, bool last);
    /* Writes what was kept. RC_OK when nothing is left. */
    enum rc (*flush)(struct request *r);
    /* RC_OK; RC_END: the client will send no more (it may still read); RC_CLIENT_GONE: it is gone for good. */
    enum rc (*check)(const struct request *r);
    /* The exchange is over. complete: the response went out whole. The request is gone after this call. */
    void (*finish)(struct request *r, bool complete);
    /* One deadline per request, in loop milliseconds: request_events.timeout is called. */
    void (*arm)(struct request *r, uint64_t due_ms);
    /* The plain socket under an otherwise empty frontend, for splice and tunnels; NULL where there is none. */
    struct stream *(*raw)(struct request *r);
    /* The client's connection, to be asked about its TLS. */
    const struct stream *(*stream)(const struct request *r);
    /* The connection becomes a byte pipe after a 101: bytes that came early are given out. */
    struct slice (*detach)(struct request *r);
    /* After raw: p, with its two functions set, takes the place of the request, which the frontend forgets. */
    void (*leave)(struct request *r, struct pipe_end *p);
    /* The other way round, so that it can be finished: *r is all zero but for what request_events.open sets. */
    void (*come_back)(struct request *r, struct pipe_end *p);
    void (*arm_pipe)(struct pipe_end *p, uint64_t due_ms);
};

struct request {
    struct arena arena;
    const struct front_ops *ops;
    void *front;                        /* the frontend's own */
    struct loop *loop;

    enum method method;
    struct slice method_text;
    bool is_head;                       /* from the client: plugins may change the method for the upstream */
    struct slice target;                /* as it came, for the log */
    struct slice path;                  /* normalised, never empty: "/..." or "*" */
    const char *plain_path;             /* a path that begins there has no byte but [A-Za-z0-9/_-]; or NULL */
    struct slice query;                 /* behind '?', without it; at NULL: no '?' at all */
    struct slice host;                  /* name without port, lower case, no trailing dot; may be empty in HTTP/1.0 */
    struct slice authority;             /* host and port as they came */
    bool is_tls;
    uint8_t version;                    /* 10, 11, 20 */
    struct headers headers;

    enum body_kind body;
    uint64_t body_bytes;                /* for BODY_SIZED */
    enum body_kind sent_body;           /* towards the upstream: plugins may change what came; set by the exchange */
    uint64_t sent_body_bytes;           /* where that is BODY_SIZED */
    struct slice upstream_host;         /* Host towards the upstream; set by the exchange */
    bool expects_continue;
    bool wants_upgrade;                 /* Connection: upgrade and an Upgrade field */
    bool takes_trailers;                /* the client understands fields behind a body */
    struct slice trailers;              /* such fields of its own, as lines that may be passed on; set with the end of
                                         * a BODY_STREAMED */

    struct peer peer;                   /* who is connected (or who the PROXY header named) */
    uint16_t local_port;
    struct slice peer_text, port_text;  /* the peer's IP and the local port, printed once per connection */
    uint32_t listener;                  /* number of its listener, below 64 */
    const char *tls_version, *tls_cipher, *tls_name;    /* NULL without TLS */

    const struct limits *limits;        /* of the request's generation */
    const struct client_timeouts *timeouts;
    const struct security *security;

    uint64_t started_us;                /* first byte of the head */
    uint64_t bytes_in, bytes_out;       /* bodies */
    uint64_t written;                   /* bytes of any kind that the client's socket took */
};

struct response {
    int status;
    struct slice reason;                /* may be empty */
    struct headers headers;
    enum body_kind body;
    uint64_t body_bytes;                /* for BODY_SIZED */
    struct slice trailers;              /* lines to go behind a BODY_STREAMED; they may come with its last bytes */
    bool close;                         /* our own wish: do not keep the client's connection */
};

/* What a frontend asks of the layer above; run/ fills it in. */
struct request_events {
    /* A head is about to be read: gives a request with arena, loop, limits, timeouts and security set. */
    struct request *(*open)(struct loop *loop);
    /* The head is complete and valid. */
    void (*ready)(struct request *r);
    /* The head was refused: rc says why. The request answers through the same ops. */
    void (*refuse)(struct request *r, enum rc rc);
    /* Something may have become possible for a request that is ready. */
    void (*wake)(struct request *r);
    /* The deadline set by ops->arm has come. */
    void (*timeout)(struct request *r);
    /* The request ends before it was ready (nothing was answered). */
    void (*drop)(struct request *r);
};

/* Reason phrase for a status, "" where we have none. */
struct slice status_reason(int status);
