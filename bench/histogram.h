#pragma once
/* histogram: counts durations in buckets whose width grows with the value, 64 to each power of two (within 1.6 %).
 * Adding is a shift and an increment. All zero is the start state. Values are nanoseconds. */
#include <stdint.h>

#define HISTOGRAM_FINE_BITS 6
#define HISTOGRAM_FINE (1u << HISTOGRAM_FINE_BITS)
#define HISTOGRAM_BUCKETS (HISTOGRAM_FINE * (65 - HISTOGRAM_FINE_BITS))

struct histogram {
    uint64_t total;
    uint64_t count[HISTOGRAM_BUCKETS];
};

/* Below HISTOGRAM_FINE each value has its bucket; above, the highest bit picks the group, the next six the bucket. */
static inline unsigned histogram_bucket(uint64_t ns)
{
    if (ns < HISTOGRAM_FINE)
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_FINE_BITS;
    return (shift + 1) * HISTOGRAM_FINE + (unsigned)(ns >> shift) - HISTOGRAM_FINE;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    h->total++;
    h->count[histogram_bucket(ns)]++;
}

/* The middle of the bucket below which the share (0 to 1) of all values lies; 0 when there are none. */
static inline double histogram_quantile(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)((double)h->total * share), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->count[i];
        if (seen <= wanted)
            continue;
        if (i < HISTOGRAM_FINE)
            return i;
        unsigned shift = i / HISTOGRAM_FINE - 1;
        return ((double)(HISTOGRAM_FINE + i % HISTOGRAM_FINE) + 0.5) * (double)(1ull << shift);
    }
    return 0;
}
