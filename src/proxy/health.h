#pragma once
/* health: whether a node may be used, as one state for all loops, kept over reloads. Two kinds of news lead to it: what
 * clients get (passive: the node is ejected for a time, longer each time), and what the gateway's own checks get
 * (active: the node is unhealthy until checks succeed again). Any loop may report; nobody waits. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "proxy/window.h"

struct service;
struct node_state;

enum health_out { HEALTH_UNHEALTHY = 1, HEALTH_EJECTED = 2 };
enum { HEALTH_RESULTS = 20, HEALTH_REASON = 96, RAMP_WHOLE = 1000 };

struct check_result {
    uint64_t wall_ms;                   /* when it ended */
    uint32_t took_ms;
    bool is_good;
    char reason[HEALTH_REASON];
};

struct health {
    _Atomic uint32_t out;               /* why it is not to be used: bits of enum health_out; 0: it is */
    _Atomic uint32_t failures;          /* in a row */
    _Atomic uint64_t back_ms;           /* when it came back, for slow start; 0: it was never away */
    struct lock lock;                   /* of what follows */
    uint32_t ejections, changes, in_a_row;
    bool row_is_good;
    uint64_t until_ms;                  /* of an ejection */
    uint64_t since_ms;                  /* wall time of the newest change; 0: none yet */
    char reason[HEALTH_REASON];         /* of that change */
    struct window window;
    uint32_t result_count;              /* ever; the newest is at (result_count - 1) % HEALTH_RESULTS */
    struct check_result results[HEALTH_RESULTS];
};

static inline bool health_is_good(const struct health *h)
{
    return atomic_load_explicit(&h->out, memory_order_relaxed) == 0;
}

/* The share of RAMP_WHOLE that a node gets of its usual requests, so long after it has come back. */
uint32_t health_ramp(const struct health *h, uint32_t slow_start_ms, uint64_t now_ms);

/* An answer, or its failure, of a service with passive checks. */
void health_report(const struct service *s, struct node_state *n, bool is_good, const char *why, uint64_t now_ms);
/* A check of the gateway's own has ended. Control thread. */
void health_checked(const struct service *s, struct node_state *n, const struct check_result *result, uint64_t now_ms);

/* Control thread. Ends an ejection whose time is over; the time of the next look, or UINT64_MAX. */
uint64_t health_tick(struct node_state *n, uint64_t now_ms);
/* Control thread. The service is published: what it does not count any more does not hold any more. */
void health_settle(const struct service *s, struct node_state *n, uint64_t now_ms, bool is_new);
/* Control thread. The node goes. */
void health_forget(struct node_state *n);
/* Called, in any thread, when a node was ejected: its return has to be seen to. */
void health_on_eject(void (*tell)(void));

/* "healthy", "unhealthy", "ejected", or "slow start". */
const char *health_word(const struct health *h, uint32_t slow_start_ms, uint64_t now_ms);
