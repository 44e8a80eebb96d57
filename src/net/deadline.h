#pragma once
/* deadline: timeouts that re-arm lazily. Moving a deadline later only stores a number; the heap is touched when one
 * moves earlier than it was armed for, and when an armed one comes up. One set per loop, no threads. */
#include <stdint.h>

#define DEADLINE_NEVER UINT64_MAX

struct deadline {
    uint64_t due_ms;                        /* when it should fire; DEADLINE_NEVER: not at all */
    uint64_t armed_ms;                      /* what the heap sorts by: <= due_ms, but never in a run that is over */
    uint32_t place;                         /* 1 + index in the heap; 0: not in it */
    void (*fire)(struct deadline *d);       /* may set it again */
};

struct deadlines {
    struct deadline **heap;
    uint32_t count, cap;
    uint64_t ran_ms;                        /* the newest run's time */
};

void deadlines_free(struct deadlines *all);

/* In loop milliseconds (clock.now_ms). A time that is over by the newest run fires in the next one, so that a deadline
 * which sets itself again cannot keep the others from firing. */
void deadline_arm(struct deadlines *all, struct deadline *d, uint64_t due_ms);      /* private: the slow path */
static inline void deadline_set(struct deadlines *all, struct deadline *d, uint64_t due_ms)
{
    if (d->place && due_ms >= d->armed_ms)
        d->due_ms = due_ms;
    else
        deadline_arm(all, d, due_ms);
}

/* Takes it out of the heap; needed before its memory goes. */
void deadline_remove(struct deadlines *all, struct deadline *d);

/* Fires what is due. */
void deadlines_run(struct deadlines *all, uint64_t now_ms);
/* When the next look is needed; DEADLINE_NEVER when empty. */
static inline uint64_t deadlines_next(const struct deadlines *all)
{
    return all->count ? all->heap[0]->armed_ms : DEADLINE_NEVER;
}
