#pragma once
/* node_state: what all loops together know of a node. It outlives generations, and stays as long as one of them names
 * that address in that service, however else the configuration changes. */
#include <stdatomic.h>

#include "base/list.h"
#include "net/addr.h"
#include "proxy/health.h"

struct service_state;
struct supply;

struct node_state {
    _Alignas(64) _Atomic uint32_t active;       /* requests in its hands */
    _Atomic uint64_t latency;           /* private to node_latency: microseconds and when, as two numbers */
    uint32_t place;                     /* 1 + place in its service's heap, 0: not there; under that lock */
    uint64_t unit;                      /* what one request more counts there; heavier nodes count less */
    struct health health;
    _Atomic uint64_t failed;            /* tries, ever */
    struct supply *supply;
    char text[ADDR_TEXT];               /* its address, for people */
    struct slice key;                   /* its own copy */
    struct service_state *service;
    _Atomic bool is_leaving;            /* no service in force names it: proxy/drain */
    /* Control thread only. */
    unsigned wanted;                    /* services in force that name it, as often as they do */
    struct link in_leaving;
    uint64_t left_ms;                   /* wall time; while it leaves */
    bool is_known;                      /* it was in a generation that was published */
    bool is_checked;                    /* by a check that is set up; one is enough */
    uint64_t check_due_ms;              /* when the next one begins */
    unsigned refs;                      /* nodes; control thread only */
};

/* Control thread. The state of that key in that service, counted for one more node; text is its address. */
struct node_state *node_state_get(struct service_state *s, struct slice key, const char *text);
void node_state_drop(struct node_state *n);

/* -- time to the first byte -- */

/* An answer has begun after so many microseconds. A slow one counts at once, fast ones bit by bit. */
void node_latency_note(struct node_state *n, uint64_t us, uint64_t now_ms);
/* What is to be expected of the next one; what was seen long ago counts less and less. 0: nothing is known. */
double node_latency_of(const struct node_state *n, uint64_t now_ms);
