#pragma once
/* lock: mutual exclusion for a moment, such as a memory copy. Four bytes; taking and leaving a free one is one
 * instruction each, a busy one is waited for awake for a while and then asleep in the kernel. Not fair, not recursive.
 * */
#include <stdatomic.h>
#include <stdint.h>

enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED };

struct lock { _Atomic uint32_t state; };    /* all zero is free */

void lock_wait(struct lock *l);
void lock_wake(struct lock *l);

static inline void lock_take(struct lock *l)
{
    uint32_t seen = LOCK_FREE;
    if (!atomic_compare_exchange_strong_explicit(&l->state, &seen, LOCK_HELD, memory_order_acquire,
                                                 memory_order_relaxed))
        lock_wait(l);
}

static inline void lock_leave(struct lock *l)
{
    if (atomic_exchange_explicit(&l->state, LOCK_FREE, memory_order_release) == LOCK_AWAITED)
        lock_wake(l);
}
