#include "net/deadline.h"

#include <stdlib.h>

void deadlines_free(struct deadlines *all)
{
    free(all->heap);
    *all = (struct deadlines){ 0 };
}

static void put(struct deadlines *all, uint32_t i, struct deadline *d)
{
    all->heap[i] = d;
    d->place = i + 1;
}

static void sift_up(struct deadlines *all, uint32_t i)
{
    struct deadline *d = all->heap[i];
    while (i) {
        uint32_t parent = (i - 1) / 4;
        if (all->heap[parent]->armed_ms <= d->armed_ms)
            break;
        put(all, i, all->heap[parent]);
        i = parent;
    }
    put(all, i, d);
}

static void sift_down(struct deadlines *all, uint32_t i)
{
    struct deadline *d = all->heap[i];
    for (;;) {
        uint32_t first = 4 * i + 1, least = first;
        for (uint32_t c = first + 1; c < first + 4 && c < all->count; c++)
            if (all->heap[c]->armed_ms < all->heap[least]->armed_ms)
                least = c;
        if (first >= all->count || all->heap[least]->armed_ms >= d->armed_ms)
            break;
        put(all, i, all->heap[least]);
        i = least;
    }
    put(all, i, d);
}

void deadline_arm(struct deadlines *all, struct deadline *d, uint64_t due_ms)
{
    d->due_ms = due_ms;
    d->armed_ms = due_ms > all->ran_ms ? due_ms : all->ran_ms + 1;
    if (d->place) {
        sift_up(all, d->place - 1);
        return;
    }
    if (due_ms == DEADLINE_NEVER)
        return;
    if (all->count == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 64;
        all->heap = realloc(all->heap, all->cap * sizeof(*all->heap));
        if (!all->heap)
            abort();
    }
    put(all, all->count++, d);
    sift_up(all, all->count - 1);
}

void deadline_remove(struct deadlines *all, struct deadline *d)
{
    if (!d->place)
        return;
    uint32_t i = d->place - 1;
    struct deadline *last = all->heap[--all->count];
    d->place = 0;
    d->due_ms = DEADLINE_NEVER;
    if (last == d)
        return;
    put(all, i, last);
    sift_down(all, i);
    sift_up(all, last->place - 1);
}

void deadlines_run(struct deadlines *all, uint64_t now_ms)
{
    all->ran_ms = now_ms;
    while (all->count && all->heap[0]->armed_ms <= now_ms) {
        struct deadline *d = all->heap[0];
        if (d->due_ms > now_ms && d->due_ms != DEADLINE_NEVER) {
            d->armed_ms = d->due_ms;
            sift_down(all, 0);
            continue;
        }
        uint64_t due = d->due_ms;
        deadline_remove(all, d);
        if (due != DEADLINE_NEVER)
            d->fire(d);
    }
}
