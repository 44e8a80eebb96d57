#pragma once
/* exchange: one request's life, as a table of steps. It moves a request from a frontend to a route's service and the
 * response back; frontends and upstream protocols do the bytes. */
#include "http/request.h"
#include "http/tunnel.h"
#include "http/up_h1.h"
#include "proxy/balancer.h"
#include "proxy/plane.h"

enum wait {                     /* what an exchange may be waiting for, each with its own time limit */
    WAIT_CONNECT = 1, WAIT_HEAD = 2, WAIT_UP_READ = 4, WAIT_UP_WRITE = 8, WAIT_BODY = 16, WAIT_CLIENT_WRITE = 32,
    WAIT_TUNNEL = 64, WAIT_QUEUE = 128, WAIT_BACKOFF = 256, WAIT_SECOND = 512,
};

struct log_entry {              /* a field that a plugin has added to the access log */
    struct log_entry *next;
    struct slice name, json;
};

enum response_source { SOURCE_GATEWAY, SOURCE_UPSTREAM, SOURCE_PLUGIN };

struct exchange {
    struct request req;         /* first: the frontend gives it back */
    struct response res;
    struct task wake;
    struct plane *plane;
    struct generation *generation;
    const struct route *route;
    struct route_param *params; /* what its path has captured */
    uint32_t param_count;
    struct service *service;
    const struct share *share;  /* of its route's traffic, where several services have one; else NULL */
    struct node *node;
    struct adhoc *adhoc;        /* the way to a node that a plugin named by its URL; NULL: the service's nodes */
    struct up *up;
    struct ticket *ticket;      /* it waits for a place in its service, or for a connection; else NULL */
    struct overload_place place;        /* in its service */
    struct second *second;      /* a try beside that one; NULL: none */
    struct buf replay;          /* body bytes already given to a connection that may turn out to be dead */
    size_t replay_at;
    struct pipe pipe;
    struct tunnel *tunnel;
    struct websocket *websocket;        /* in place of the tunnel, where its frames are looked at */
    struct websocket_settings *websocket_wish;  /* of a plugin, in place of the route's; NULL: none */
    struct slice websocket_key; /* of the client's handshake, whatever plugins make of it later */
    struct coroutine *lines[LINE_COUNT];        /* chains that are under way */
    struct buf filtered[LINE_COUNT];            /* the chunk that a body hook gave last */
    double number;              /* of the request for Lua; 0: Lua has not seen it */
    bool keeps;                 /* Lua keeps something of it */
    uint32_t chain;             /* of plugins: 0 is the global one, then 1 + index of the route */
    uint32_t hooks;             /* bit per enum hook of that chain */
    struct slice id;            /* request id */
    struct peer client;         /* who asks, behind trusted proxies */
    bool peer_is_trusted;       /* who is connected is such a proxy */
    struct ask *ask;            /* a question to the control thread */
    struct span answer;         /* body of a response of ours */
    struct log_entry *logged;   /* in the order in which they were added */
    struct buf gathered;        /* of the request body, because a plugin wanted it whole; or what it put in its place */
    size_t gathered_at;
    struct buf gathered_response;       /* the same of the response body */
    uint64_t gather_max;
    uint32_t asked_ms;          /* the client wants its answer in this time; 0: said nothing */
    uint32_t timeout_ms;        /* for the whole exchange, from a plugin; 0: the route's */
    uint8_t gather;             /* enum gather: what a plugin waits for */
    bool gathered_back;         /* gathered_response is still to be sent */
    bool body_flows;            /* the first of its bytes are on their way */
    bool reframed;              /* a plugin has changed the status or the body of the response */
    bool filter_begun;          /* a reply's body is going through plugins */
    bool timed_out;             /* the time for the whole exchange is over, and that was told */
    uint32_t added_bytes;       /* of header fields, by plugins */
    bool source_ended;          /* the last byte of the request body was read */
    bool chunk_is_last;         /* of the request body, in the plugins' hands */
    bool chunk_back_is_last;    /* of the response body */
    bool down_held;             /* a chunk of the response body is in the plugins' hands */
    bool down_ended;            /* the last chunk of the response body was sent */
    bool echoes;                /* the answer is the request itself */
    bool filters;               /* the response body goes through plugins */
    bool filter_done;           /* a reply's body went through them */
    bool preflight;             /* the route is the one that a CORS preflight asks about; it does not take OPTIONS */
    bool replied;               /* a plugin has made a reply: it is in res and answer */
    uint8_t source;             /* enum response_source */
    bool head_owned;            /* the response head lies in the arena */
    bool response_hooked, failure_hooked;       /* those chains have begun, and are not run again */
    bool request_sent;          /* the head, in the try under way: no plugin can change it any more */
    struct pick pick;           /* which nodes were tried, and which it has in hand */
    uint64_t since_ms[10];      /* last progress of each wait, by bit number */
    uint64_t drained;           /* body bytes thrown away after a reply */
    uint64_t connect_us, first_byte_us, sent_us, up_started_us;
    struct breaker_leave leave, route_leave;    /* of the service's breaker, and of the route's */
    uint32_t retry_after_s;     /* for an answer with 503; 0: a moment */
    const struct retry_settings *retry;         /* the service's, or what the route makes of them */
    const struct service *retry_for;            /* that service */
    uint64_t try_since_ms;      /* when its time began: a node was taken, or the last of the body was there */
    uint32_t backoff_ms;        /* until the next try; 0: at once */
    uint64_t try_us;            /* when the node was taken, as long as its service waits for news of it; else 0 */
    enum rc failure;            /* why it failed, RC_OK if it did not */
    uint16_t waits;             /* bit per enum wait */
    uint8_t step;
    uint8_t tries, retries, interims;
    uint8_t full;               /* nodes in a row where it could not even wait */
    uint8_t rounds;             /* of tries, after each of which the nodes begin anew */
    bool hedge_asked;           /* whether another node was to be asked as well */
    bool share_is_new;          /* the client has to be told */
    bool sticks;                /* the client's cookie names the node */
    bool hash_given;            /* pick.hash is a plugin's */
    bool reused;                /* the current upstream connection came from the pool */
    bool body_ended;            /* the last byte of the request body was given to the upstream */
    bool body_lost;             /* bytes were given that cannot be replayed */
    bool up_deaf;               /* the upstream takes no more of the request; it may still answer */
    bool head_sent;             /* to the client */
    bool splices;               /* the response body goes through pipes */
    bool splicing;              /* it has one: `pipe` */
    bool holds_head;            /* the kernel keeps the end of what was written for the body that follows */
    bool opens_websocket;       /* it asks for one */
    bool is_websocket;          /* it has got one, and is counted among those that are open */
    bool half_closed;           /* the client has said that it will send no more */
    uint64_t written_seen, sent_seen;   /* bytes that the sockets had taken when we last looked */
    /* Not cleared from here on. */
    struct header fields[HEADERS_ROOM], fields_back[HEADERS_ROOM];      /* of req and res, the first ones */
    char first[3072];           /* of the arena */
};

struct ask;

extern const struct request_events exchange_events;

/* The request is for this service from now on: for the nodes that it has now, however long the request takes. */
void exchange_use_service(struct exchange *x, struct service_slot *slot);

/* An answer has come back to the loop that asked. Takes it over. */
void exchange_answered(struct ask *a);
