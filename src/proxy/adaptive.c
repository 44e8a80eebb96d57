#include "proxy/adaptive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MS = 100, WINDOW_LEAST = 10, /* a window is over after that time with so many answers */
    WINDOW_LONG_MS = 1000,              /* ... or after this with any */
    MEASURED = 3,                       /* windows for a baseline: one may have met a hiccup */
    SLACK_US = 1000,                    /* what a machine may be late without meaning anything */
};
static const double TOLERANCE = 1.5;    /* times the baseline that an answer may take */
static const double SMOOTHING = 0.2;    /* share of a window in the limit */
static const double LEAST_GRADIENT = 0.5;
static const double FIRST_GROWTH = 1.5; /* per window, until answers have taken too long for the first time */

static double within(double n, uint32_t least, uint32_t most) { return n < least ? least : n > most ? most : n; }

static void begin_window(struct adaptive *a, uint64_t now_ms)
{
    a->begun_ms = now_ms;
    a->seen = a->most_used = 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double median(struct adaptive *a)
{
    uint32_t n = a->seen < ADAPTIVE_SAMPLES ? a->seen : ADAPTIVE_SAMPLES;
    qsort(a->samples, n, sizeof a->samples[0], compare);
    uint32_t middle = n / 2;
    return a->samples[middle] + 1;
}

/* Reservoir sampling (Vitter's algorithm R). */
static void keep(struct adaptive *a, uint64_t us)
{
    uint32_t place = a->seen++;
    if (place >= ADAPTIVE_SAMPLES) {
        a->random = a->random * 1664525 + 1013904223;
        place = (uint32_t)((uint64_t)a->random * a->seen >> 32);
    }
    if (place < ADAPTIVE_SAMPLES)
        a->samples[place] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* A service with fewer requests than it may have says nothing about having more. */
static bool is_used(const struct adaptive *a) { return a->most_used * 2.0 >= a->limit; }

static void follow(struct adaptive *a, double us, uint32_t least, uint32_t most, uint64_t now_ms)
{
    if (us < a->baseline_us)
        a->baseline_us = us;
    double allowed_us = a->baseline_us * TOLERANCE + SLACK_US;
    double gradient = allowed_us / us;
    if (gradient >= 1 || !is_used(a))
        a->good_ms = now_ms;
    if (!is_used(a))
        return;
    if (now_ms - a->good_ms >= ADAPTIVE_PROBE_MS) {
        a->phase = ADAPTIVE_CALMS;
        return;
    }
    a->has_met_limit |= gradient < 1;
    if (!a->has_met_limit) {
        a->limit = within(a->limit * FIRST_GROWTH, least, most);
        return;
    }
    gradient = gradient > 1 ? 1 : gradient < LEAST_GRADIENT ? LEAST_GRADIENT : gradient;
    double next = a->limit * gradient + sqrt(a->limit);
    a->limit = within(a->limit + (next - a->limit) * SMOOTHING, least, most);
}

static void measure(struct adaptive *a, double us, uint64_t now_ms)
{
    if (a->measured == 0 || us < a->baseline_us)
        a->baseline_us = us;
    if (++a->measured < MEASURED)
        return;
    a->phase = ADAPTIVE_FOLLOWS;
    a->good_ms = now_ms;
}

static void end_window(struct adaptive *a, uint32_t least, uint32_t most, uint64_t now_ms)
{
    double us = median(a);
    switch (a->phase) {
    case ADAPTIVE_FOLLOWS: follow(a, us, least, most, now_ms); break;
    case ADAPTIVE_CALMS:
        a->phase = ADAPTIVE_MEASURES;
        a->measured = 0;
        break;
    case ADAPTIVE_MEASURES: measure(a, us, now_ms); break;
    }
    begin_window(a, now_ms);
}

static uint32_t limit_now(const struct adaptive *a, uint32_t least)
{
    double limit = a->phase == ADAPTIVE_FOLLOWS ? a->limit : a->limit / 4;
    return limit < least ? least : (uint32_t)limit;
}

uint32_t adaptive_limit(struct adaptive *a, uint32_t least, uint32_t most)
{
    lock_take(&a->lock);
    a->limit = within(a->limit > 0 ? a->limit : ADAPTIVE_FIRST, least, most);
    uint32_t limit = limit_now(a, least);
    lock_leave(&a->lock);
    return limit;
}

uint32_t adaptive_note(struct adaptive *a, uint32_t least, uint32_t most, uint64_t us, uint32_t used, uint64_t now_ms)
{
    lock_take(&a->lock);
    if (!a->begun_ms) {
        a->good_ms = now_ms;
        begin_window(a, now_ms);
    }
    keep(a, us);
    if (used > a->most_used)
        a->most_used = used;
    uint64_t age_ms = now_ms > a->begun_ms ? now_ms - a->begun_ms : 0;
    if ((age_ms >= WINDOW_MS && a->seen >= WINDOW_LEAST) || age_ms >= WINDOW_LONG_MS)
        end_window(a, least, most, now_ms);
    uint32_t limit = limit_now(a, least);
    lock_leave(&a->lock);
    return limit;
}
