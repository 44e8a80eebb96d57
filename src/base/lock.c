#include "base/lock.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPINS = 100 };

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool try_take(struct lock *l)
{
    uint32_t seen = LOCK_FREE;
    return atomic_load_explicit(&l->state, memory_order_relaxed) == LOCK_FREE &&
           atomic_compare_exchange_weak_explicit(&l->state, &seen, LOCK_HELD, memory_order_acquire,
                                                 memory_order_relaxed);
}

/* Who has slept takes the lock as one that is awaited: there may be others asleep, and to wake one in vain does no
 * harm. */
void lock_wait(struct lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        if (try_take(l))
            return;
        relax();
    }
    while (atomic_exchange_explicit(&l->state, LOCK_AWAITED, memory_order_acquire) != LOCK_FREE)
        (void)syscall(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, LOCK_AWAITED, NULL);    /* any end: look again */
}

void lock_wake(struct lock *l)
{
    (void)syscall(SYS_futex, &l->state, FUTEX_WAKE_PRIVATE, 1);
}
