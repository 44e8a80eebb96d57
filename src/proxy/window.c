#include "proxy/window.h"

#include <string.h>

/* Empties the slices that time has passed since. A clock that has gone back a little, in another loop, counts for the
 * newest slice. */
static void turn(struct window *w, uint32_t length_ms, uint64_t now_ms)
{
    uint32_t slice_ms = length_ms < WINDOW_SLICES ? 1 : length_ms / WINDOW_SLICES;
    uint64_t now = now_ms / slice_ms;
    if (now <= w->newest)
        return;
    uint64_t passed = now - w->newest < WINDOW_SLICES ? now - w->newest : WINDOW_SLICES;
    for (uint64_t i = 0; i < passed; i++)
        w->slices[(now - i) % WINDOW_SLICES] = (struct window_counts){ 0 };
    w->newest = now;
}

void window_add(struct window *w, uint32_t length_ms, uint64_t now_ms, bool is_bad, bool is_slow)
{
    turn(w, length_ms, now_ms);
    struct window_counts *c = &w->slices[w->newest % WINDOW_SLICES];
    c->all++;
    c->bad += is_bad;
    c->slow += is_slow;
}

struct window_counts window_sum(struct window *w, uint32_t length_ms, uint64_t now_ms)
{
    struct window_counts sum = { 0 };
    turn(w, length_ms, now_ms);
    for (int i = 0; i < WINDOW_SLICES; i++) {
        sum.all += w->slices[i].all;
        sum.bad += w->slices[i].bad;
        sum.slow += w->slices[i].slow;
    }
    return sum;
}

void window_clear(struct window *w) { memset(w, 0, sizeof *w); }
