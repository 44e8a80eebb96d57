#pragma once
/* exchange: one request's life, as a table of steps. It moves a request from a frontend to a route's service and the
 * response back; frontends and upstream protocols do the bytes. */
#include "http/request.h"
#include "http/tunnel.h"
#include "http/up_h1.h"
#include "proxy/plane.h"

enum wait {                     /* what an exchange may be waiting for, each with its own time limit */
    WAIT_CONNECT = 1, WAIT_HEAD = 2, WAIT_UP_READ = 4, WAIT_UP_WRITE = 8, WAIT_BODY = 16, WAIT_CLIENT_WRITE = 32,
    WAIT_TUNNEL = 64,
};

struct exchange {
    struct request req;         /* first: the frontend gives it back */
    struct response res;
    struct task wake;
    struct plane *plane;
    struct generation *generation;
    const struct route *route;
    struct service *service;
    struct node *node;
    struct up *up;
    struct buf replay;          /* body bytes already given to a connection that may turn out to be dead */
    size_t replay_at;
    struct pipe pipe;
    struct tunnel *tunnel;
    struct slice id;            /* request id */
    struct peer client;         /* who asks, behind trusted proxies */
    uint64_t tried;             /* bit per node index */
    uint64_t since_ms[7];       /* last progress of each wait, by bit number */
    uint64_t drained;           /* body bytes thrown away after a reply */
    uint64_t connect_us, first_byte_us, sent_us, up_started_us;
    uint64_t splice_left;
    enum rc failure;            /* why it failed, RC_OK if it did not */
    uint8_t step, waits;
    uint8_t tries, retries, interims;
    bool reused;                /* the current upstream connection came from the pool */
    bool body_ended;            /* the last byte of the request body was given to the upstream */
    bool body_lost;             /* bytes were given that cannot be replayed */
    bool up_deaf;               /* the upstream takes no more of the request; it may still answer */
    bool head_sent;             /* to the client */
    bool splicing;
    bool half_closed;           /* the client has said that it will send no more */
    uint64_t written_seen, sent_seen;   /* bytes that the sockets had taken when we last looked */
    char first[4096];           /* of the arena; not cleared */
};

extern const struct request_events exchange_events;
