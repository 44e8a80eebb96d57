#pragma once
/* hook_stats: what the plugins cost, per plugin instance, hook and route. */
#include "base/labels.h"
#include "base/series.h"

struct hook_stat {
    _Atomic uint64_t calls, cpu_ticks, wait_ticks, errors, answers;     /* base/ticks.h */
    uint64_t overrun_ms;                /* when it was last over its budget; the loop's own, as overruns */
    uint32_t overruns;                  /* ... and how often in a row */
};

/* The owner only: no locked instruction is needed. */
static inline void hook_stat_add(_Atomic uint64_t *n, uint64_t more)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
}

/* Words: plugin, instance, hook, route. Number 0 counts what has no number any more. */
extern struct labels hook_labels;
enum { HOOK_PLUGIN, HOOK_INSTANCE, HOOK_NAME, HOOK_ROUTE };

static inline struct hook_stat *hook_stat_at(struct series *s, uint32_t number)
{
    return series_at(s, number, sizeof(struct hook_stat));
}
