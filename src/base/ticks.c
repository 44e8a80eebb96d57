#include "base/ticks.h"

#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

bool ticks_by_counter;

static struct { uint64_t ticks, ns; } start;    /* both clocks, when the process began */

uint64_t ticks_by_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* "Invariant TSC": it counts at one rate whatever the core's own does, also while it sleeps. */
static bool has_even_counter(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && d >> 8 & 1;
#else
    return false;
#endif
}

__attribute__((constructor)) static void begin(void)
{
    ticks_by_counter = has_even_counter();
    start.ns = ticks_by_clock();
    start.ticks = ticks_now();
}

double ticks_to_ns(uint64_t ticks)
{
    if (!ticks_by_counter)
        return (double)ticks;
    uint64_t ns = ticks_by_clock() - start.ns, passed = ticks_now() - start.ticks;
    return passed ? (double)ticks * ((double)ns / (double)passed) : 0;
}
