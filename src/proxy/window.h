#pragma once
/* window: what happened in the last so many milliseconds, counted in ten slices of that time: the oldest is forgotten
 * as a whole. No lock of its own. */
#include <stdbool.h>
#include <stdint.h>

enum { WINDOW_SLICES = 10 };

struct window_counts { uint32_t all, bad, slow; };

struct window {                         /* all zero: nothing has happened */
    uint64_t newest;                    /* number of the slice that time is in */
    struct window_counts slices[WINDOW_SLICES];
};

/* One more. length_ms is the window's, the same in all calls until window_clear; time does not go back. */
void window_add(struct window *w, uint32_t length_ms, uint64_t now_ms, bool is_bad, bool is_slow);
struct window_counts window_sum(struct window *w, uint32_t length_ms, uint64_t now_ms);
void window_clear(struct window *w);
