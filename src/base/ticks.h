#pragma once
/* ticks: the cheapest clock there is, for measuring what a few hundred nanoseconds were spent on. Where the processor's
 * time stamp counter runs evenly on all cores, a tick is one of its steps; elsewhere it is a nanosecond. */
#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

extern bool ticks_by_counter;           /* private: read it by ticks_now */
uint64_t ticks_by_clock(void);          /* private: the way without a counter */

/* Now. Only differences mean something. */
static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    if (ticks_by_counter)
        return __rdtsc();
#endif
    return ticks_by_clock();
}

/* Nanoseconds that a difference of ticks stands for. Not as cheap: it compares the counter with the kernel's clock. */
double ticks_to_ns(uint64_t ticks);
