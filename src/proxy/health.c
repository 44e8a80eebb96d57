#include "proxy/health.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/service.h"

enum {
    EJECTIONS_MAX = 10,                 /* times that the time of an ejection grows */
    GOOD_TIMES = 10,                    /* a node that was good for so many ejections' time begins anew */
    RAMP_LEAST = RAMP_WHOLE / 10,
};

static void (*_Atomic on_eject)(void);

void health_on_eject(void (*tell)(void)) { on_eject = tell; }

uint32_t health_ramp(const struct health *h, uint32_t slow_start_ms, uint64_t now_ms)
{
    uint64_t back = atomic_load_explicit(&h->back_ms, memory_order_relaxed);
    if (!back || !slow_start_ms || now_ms >= back + slow_start_ms)
        return RAMP_WHOLE;
    uint64_t share = now_ms > back ? (now_ms - back) * RAMP_WHOLE / slow_start_ms : 0;
    return share > RAMP_LEAST ? (uint32_t)share : RAMP_LEAST;
}

const char *health_word(const struct health *h, uint32_t slow_start_ms, uint64_t now_ms)
{
    uint32_t out = atomic_load_explicit(&h->out, memory_order_relaxed);
    if (out & HEALTH_UNHEALTHY)
        return "unhealthy";
    if (out & HEALTH_EJECTED)
        return "ejected";
    return health_ramp(h, slow_start_ms, now_ms) < RAMP_WHOLE ? "slow start" : "healthy";
}

/* -- the state; under the node's lock -- */

/* One of the two reasons why the node is out is gone, and the other one stays: that is no news. */
static bool stays_out(const struct health *h, uint32_t out)
{
    uint32_t before = atomic_load_explicit(&h->out, memory_order_relaxed);
    return out && (before & out) == out;
}

/* What a node is from now on: every loop looks anew at the next pick. */
static void change(struct node_state *n, uint32_t out, uint64_t now_ms, const char *reason)
{
    struct health *h = &n->health;
    bool was_good = health_is_good(h);
    if (stays_out(h, out)) {
        atomic_store_explicit(&h->out, out, memory_order_relaxed);
        return;
    }
    h->since_ms = clock_wall_us() / 1000;
    h->changes++;
    snprintf(h->reason, sizeof h->reason, "%s", reason);
    if (!out && !was_good)
        atomic_store_explicit(&h->back_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&h->out, out, memory_order_relaxed);
    atomic_fetch_add_explicit(&n->service->version, 1, memory_order_release);
    const char *service = log_slice(n->service->name);
    if (out)
        log_warn("health", out & HEALTH_UNHEALTHY ? "node is unhealthy" : "node is ejected", "service", service, "node",
                 n->text, "reason", reason);
    else
        log_info("health", "node is healthy", "service", service, "node", n->text, "reason", reason);
}

static uint32_t out_of(const struct node_state *n)
{
    return atomic_load_explicit(&n->health.out, memory_order_relaxed);
}

/* Counts it in, if so many may be ejected. */
static bool may_eject(const struct service *s)
{
    uint32_t most = (uint32_t)((uint64_t)s->node_count * s->settings.passive.max_ejected_percent / 100);
    uint32_t others = atomic_fetch_add_explicit(&s->state->ejected, 1, memory_order_relaxed);
    if (others < most)
        return true;
    atomic_fetch_sub_explicit(&s->state->ejected, 1, memory_order_relaxed);
    return false;
}

static void eject(const struct service *s, struct node_state *n, uint64_t now_ms, const char *reason)
{
    struct health *h = &n->health;
    uint32_t first_ms = s->settings.passive.eject_ms;
    if (!may_eject(s))
        return;
    if (now_ms > h->until_ms + (uint64_t)GOOD_TIMES * first_ms)
        h->ejections = 0;
    if (h->ejections < EJECTIONS_MAX)
        h->ejections++;
    h->until_ms = now_ms + (uint64_t)first_ms * h->ejections;
    change(n, out_of(n) | HEALTH_EJECTED, now_ms, reason);
    void (*tell)(void) = on_eject;
    if (tell)
        tell();
}

static void end_ejection(struct node_state *n, uint64_t now_ms, const char *reason)
{
    struct health *h = &n->health;
    atomic_fetch_sub_explicit(&n->service->ejected, 1, memory_order_relaxed);
    atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
    window_clear(&h->window);
    change(n, out_of(n) & ~(uint32_t)HEALTH_EJECTED, now_ms, reason);
}

/* -- what clients get -- */

static void judge(const struct service *s, struct node_state *n, uint32_t failures, const char *why, uint64_t now_ms)
{
    const struct passive_settings *p = &s->settings.passive;
    struct health *h = &n->health;
    char reason[HEALTH_REASON];
    struct window_counts sum = window_sum(&h->window, p->window_ms, now_ms);
    if (p->failures && failures >= p->failures)
        snprintf(reason, sizeof reason, "%u failures in a row: %s", failures, why);
    else if (p->error_percent && sum.all >= p->min_requests &&
             (uint64_t)sum.bad * 100 >= (uint64_t)sum.all * p->error_percent)
        snprintf(reason, sizeof reason, "%u of %u requests failed: %s", sum.bad, sum.all, why);
    else
        return;
    eject(s, n, now_ms, reason);
}

void health_report(const struct service *s, struct node_state *n, bool is_good, const char *why, uint64_t now_ms)
{
    const struct passive_settings *p = &s->settings.passive;
    struct health *h = &n->health;
    uint32_t failures = 0;
    if (!is_good)
        failures = atomic_fetch_add_explicit(&h->failures, 1, memory_order_relaxed) + 1;
    else if (atomic_load_explicit(&h->failures, memory_order_relaxed))
        atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
    if (is_good && !p->error_percent)
        return;
    lock_take(&h->lock);
    if (!(out_of(n) & HEALTH_EJECTED)) {        /* else it is the end of a request from before */
        window_add(&h->window, p->window_ms, now_ms, !is_good, false);
        if (!is_good)
            judge(s, n, failures, why, now_ms);
    }
    lock_leave(&h->lock);
}

uint64_t health_tick(struct node_state *n, uint64_t now_ms)
{
    struct health *h = &n->health;
    uint64_t next = UINT64_MAX;
    if (!(out_of(n) & HEALTH_EJECTED))
        return next;
    lock_take(&h->lock);
    if (now_ms >= h->until_ms)
        end_ejection(n, now_ms, "its ejection is over");
    else
        next = h->until_ms;
    lock_leave(&h->lock);
    return next;
}

/* -- what checks get -- */

void health_checked(const struct service *s, struct node_state *n, const struct check_result *result, uint64_t now_ms)
{
    const struct active_settings *a = &s->settings.active;
    struct health *h = &n->health;
    lock_take(&h->lock);
    h->results[h->result_count++ % HEALTH_RESULTS] = *result;
    h->in_a_row = h->row_is_good == result->is_good ? h->in_a_row + 1 : 1;
    h->row_is_good = result->is_good;
    bool is_out = out_of(n) & HEALTH_UNHEALTHY;
    if (!result->is_good && !is_out && h->in_a_row >= a->unhealthy)
        change(n, out_of(n) | HEALTH_UNHEALTHY, now_ms, result->reason);
    else if (result->is_good && is_out && h->in_a_row >= a->healthy)
        change(n, out_of(n) & ~(uint32_t)HEALTH_UNHEALTHY, now_ms, result->reason);
    lock_leave(&h->lock);
}

/* -- configurations -- */

void health_settle(const struct service *s, struct node_state *n, uint64_t now_ms, bool is_new)
{
    struct health *h = &n->health;
    lock_take(&h->lock);
    if (is_new)
        atomic_store_explicit(&h->back_ms, now_ms, memory_order_relaxed);
    if ((out_of(n) & HEALTH_EJECTED) && !s->settings.passive.is_on)
        end_ejection(n, now_ms, "nothing is counted any more");
    if ((out_of(n) & HEALTH_UNHEALTHY) && !s->settings.active.is_on)
        change(n, out_of(n) & ~(uint32_t)HEALTH_UNHEALTHY, now_ms, "it is not checked any more");
    window_clear(&h->window);           /* its length may be another one */
    lock_leave(&h->lock);
}

void health_forget(struct node_state *n)
{
    if (out_of(n) & HEALTH_EJECTED)
        atomic_fetch_sub_explicit(&n->service->ejected, 1, memory_order_relaxed);
}
