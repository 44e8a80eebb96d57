#pragma once
/* call: a request of the gateway's own (a plugin's, mostly), over the upstream connections and pools of its loop: to a
 * service of the configuration, or to a node that a URL names (proxy/adhoc.h). No I/O happens before the loop comes to
 * it, so a call can be begun, continued and ended anywhere, also where bytes of others lie in the loop's scratch. */
#include "proxy/adhoc.h"
#include "proxy/balancer.h"

struct call;

/* There is news, or it has ended. From the loop, never from within a function of this file. */
typedef void call_fn(struct call *c);

enum call_state {
    CALL_RUNS,
    CALL_PAUSES,        /* streams: the head is there, or some bytes of the body; goes on with call_more */
    CALL_DONE,          /* the last byte of the body is there */
    CALL_FAILED,
};

struct call {
    /* What the maker of the call sets, after call_init; texts live in req.arena. Of the request: method, method_text,
     * path, query, headers, sent_body and its bytes; upstream_host, or nothing for the node's own. */
    struct request req;
    struct slice body;          /* of the request */
    struct service *service;    /* of the configuration, entered; the call leaves it. NULL: adhoc */
    struct adhoc *adhoc;        /* from adhoc_new; the call gives it back */
    uint32_t timeout_ms;        /* the whole, from call_start on */
    uint32_t connect_ms;        /* for each address: to find and reach it */
    uint64_t body_max;          /* most bytes of the response body */
    bool streams;               /* the body is given in pieces */
    call_fn *tell;

    /* What there is to see. */
    enum call_state state;
    enum rc rc;                 /* why it failed */
    char why[400];              /* the same in words */
    struct response res;        /* the head, once it is there: status is not 0 */
    struct buf in;              /* the body, or the next bytes of it */

    /* Private. */
    struct plane *plane;
    struct node *node;
    struct up *up;
    struct ticket *ticket;      /* it waits for a connection; else NULL */
    struct task wake;
    struct deadline timer;
    uint64_t due_ms, attempt_due_ms;
    struct up *second;          /* a connection beside the one that takes long; NULL: none */
    struct node *second_node;
    uint64_t second_ms;         /* when that was begun, or may be */
    struct pick pick;           /* which nodes were tried, and which it has in hand */
    uint64_t try_us;            /* when the node was taken, as long as its service waits for news of it; else 0 */
    uint64_t got;               /* bytes of the body so far */
    size_t body_at;             /* bytes of the request's body given to the connection */
    uint32_t tries, interims;
    uint8_t step;
    bool host_given;
    bool reused;                /* the connection came from the pool */
    bool fresh;                 /* it must not */
    bool deaf;                  /* the upstream takes no more of the request; it may still answer */
};

/* All zero but for the plane and an arena. The memory is the caller's. */
void call_init(struct call *c, struct plane *p);
void call_start(struct call *c);
/* What is in c->in has been used. */
void call_more(struct call *c);
/* What it was doing when it ended, or does: "connect", "send", "response", "body". */
const char *call_phase(const struct call *c);
/* Ends it: a connection with an answer outstanding is closed. Frees all but c itself. */
void call_free(struct call *c);
