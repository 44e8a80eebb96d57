#pragma once
/* adaptive: how many requests at a time a service takes well, found by how long its answers take. A gradient, as in
 * Netflix's concurrency-limits and Envoy's adaptive concurrency: while answers take about as long as with few requests
 * the limit grows, by the square root of itself (at first by half of itself); when they take longer it shrinks in
 * proportion.
 *
 * Time goes in windows, each of some answers; the median of a window is compared with the baseline, the time with few
 * requests: the least median ever seen. At first, and when answers have taken longer than the baseline allows for
 * PROBE_MS, so that the service may have become slower by itself, the baseline is measured: for four windows the limit
 * is a quarter of what it was, and the least median of all but the first is the baseline then. */
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

enum { ADAPTIVE_SAMPLES = 128, ADAPTIVE_FIRST = 20, ADAPTIVE_PROBE_MS = 30000 };
enum adaptive_phase { ADAPTIVE_CALMS, ADAPTIVE_MEASURES, ADAPTIVE_FOLLOWS };

struct adaptive {                       /* all zero: nothing was measured */
    struct lock lock;
    enum adaptive_phase phase;
    uint32_t measured;                  /* windows of this measurement */
    bool has_met_limit;                 /* answers have taken longer than the baseline allows, ever */
    double limit;                       /* as a fraction, or 0: not begun */
    double baseline_us;                 /* 0: not measured yet */
    uint64_t begun_ms;                  /* of the window */
    uint64_t good_ms;                   /* when answers were last as fast as the baseline allows */
    uint32_t seen;                      /* answers in the window */
    uint32_t most_used;                 /* requests at a time, in the window */
    uint32_t random;
    uint32_t samples[ADAPTIVE_SAMPLES]; /* microseconds of some of them, each with the same chance */
};

/* The limit to begin with, or to go on with, within these bounds. */
uint32_t adaptive_limit(struct adaptive *a, uint32_t least, uint32_t most);
/* An answer has begun after so many microseconds; used: requests at that time. The limit from now on. */
uint32_t adaptive_note(struct adaptive *a, uint32_t least, uint32_t most, uint64_t us, uint32_t used, uint64_t now_ms);
