#include "proxy/retry.h"

#include <string.h>

enum { SECOND_MS = 1000, BACKOFF_DOUBLINGS = 20 };

void retry_count(struct retry_budget *b, uint64_t now_ms)
{
    uint64_t now = now_ms / SECOND_MS;
    _Atomic uint64_t *second = &b->requests[now % RETRY_SECONDS];
    uint64_t seen = atomic_load_explicit(second, memory_order_relaxed);
    /* Another loop's clock may be a little ahead: its second is taken then. */
    while (seen >> 32 < now)
        if (atomic_compare_exchange_weak_explicit(second, &seen, now << 32 | 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
    atomic_fetch_add_explicit(second, 1, memory_order_relaxed);
}

static uint64_t count_requests(const struct retry_budget *b, uint64_t now_ms)
{
    uint64_t now = now_ms / SECOND_MS, sum = 0;
    for (int i = 0; i < RETRY_SECONDS; i++) {
        uint64_t seen = atomic_load_explicit(&b->requests[i], memory_order_relaxed);
        if ((seen >> 32) + RETRY_SECONDS > now)
            sum += (uint32_t)seen;
    }
    return sum;
}

bool retry_spend(struct retry_budget *b, const struct retry_settings *s, uint64_t now_ms)
{
    uint64_t allowed = count_requests(b, now_ms) * s->budget_percent / 100, least = s->budget_min * RETRY_SECONDS;
    lock_take(&b->lock);
    uint32_t spent = window_sum(&b->spent, RETRY_SECONDS * SECOND_MS, now_ms).all;
    bool is_left = spent < (allowed > least ? allowed : least);
    if (is_left)
        window_add(&b->spent, RETRY_SECONDS * SECOND_MS, now_ms, false, false);
    lock_leave(&b->lock);
    return is_left;
}

void retry_merge(const struct retry_settings *service, const struct retry_settings *route, struct retry_settings *out)
{
    *out = *service;
    if (route->given & RETRY_KEY_ATTEMPTS)
        out->attempts = route->attempts;
    if (route->given & RETRY_KEY_METHODS)
        out->methods = route->methods;
    if (route->given & RETRY_KEY_HEDGE)
        out->hedge_ms = route->hedge_ms;
    if (route->given & RETRY_KEY_PER_TRY) {
        out->per_try_ms = route->per_try_ms;
        out->on |= RETRY_ON_TIMEOUT;
    }
    if (route->given & RETRY_KEY_BACKOFF) {
        out->backoff_ms = route->backoff_ms;
        out->backoff_max_ms = route->backoff_max_ms;
    }
    if (route->given & RETRY_KEY_ON) {
        out->on = route->on;
        memcpy(out->statuses, route->statuses, sizeof out->statuses);
    }
}

uint32_t retry_backoff(const struct retry_settings *s, unsigned n, struct random *random)
{
    uint64_t bound = (uint64_t)s->backoff_ms << (n < BACKOFF_DOUBLINGS ? n : BACKOFF_DOUBLINGS);
    if (bound > s->backoff_max_ms)
        bound = s->backoff_max_ms;
    return (uint32_t)random_below(random, bound + 1);
}
