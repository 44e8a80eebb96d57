#pragma once
/* longest: the longest of many spans of time, among those of this minute and of the one before. One thread notes, any
 * thread reads. All zero: none was noted. */
#include <stdatomic.h>
#include <stdint.h>

struct longest {
    _Atomic uint64_t minute;        /* since the clock began */
    _Atomic uint64_t now, before;   /* in that minute, in the one before it */
};

enum { LONGEST_MINUTE_MS = 60000 };

/* span: in whatever unit, the same for all of one struct. now_ms: of the monotonic clock. */
static inline void longest_note(struct longest *l, uint64_t now_ms, uint64_t span)
{
    uint64_t minute = now_ms / LONGEST_MINUTE_MS, last = atomic_load_explicit(&l->minute, memory_order_relaxed);
    uint64_t known = atomic_load_explicit(&l->now, memory_order_relaxed);
    if (minute != last) {
        atomic_store_explicit(&l->before, minute == last + 1 ? known : 0, memory_order_relaxed);
        atomic_store_explicit(&l->minute, minute, memory_order_relaxed);
    }
    if (minute != last || span > known)
        atomic_store_explicit(&l->now, span, memory_order_relaxed);
}

static inline uint64_t longest_read(const struct longest *l, uint64_t now_ms)
{
    uint64_t age = now_ms / LONGEST_MINUTE_MS - atomic_load_explicit(&l->minute, memory_order_relaxed);
    uint64_t now = atomic_load_explicit(&l->now, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(&l->before, memory_order_relaxed);
    if (age > 1)
        return 0;
    return age == 1 || now > before ? now : before;
}
