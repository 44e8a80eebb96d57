#pragma once
/* series: numbered counters of one thread, in chunks that are made when they are first counted in. The owner writes,
 * anybody reads; what is in an element is atomic. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { SERIES_CHUNK = 64, SERIES_CHUNKS = 1024, SERIES_MAX = SERIES_CHUNK * SERIES_CHUNKS };

struct series { _Atomic(char *) chunks[SERIES_CHUNKS]; };       /* zeroed is empty */

char *series_open(struct series *s, uint32_t number, size_t size);     /* private: the slow path of series_at */
void series_free(struct series *s);

/* The element of a number below SERIES_MAX. size: of an element, the same in each call. The owner only. */
static inline void *series_at(struct series *s, uint32_t number, size_t size)
{
    char *chunk = atomic_load_explicit(&s->chunks[number / SERIES_CHUNK], memory_order_relaxed);
    if (!chunk)
        chunk = series_open(s, number, size);
    return chunk + number % SERIES_CHUNK * size;
}

/* The same for readers; NULL where nothing was counted. */
static inline const void *series_look(const struct series *s, uint32_t number, size_t size)
{
    const char *chunk = atomic_load_explicit(&s->chunks[number / SERIES_CHUNK], memory_order_acquire);
    return chunk ? chunk + number % SERIES_CHUNK * size : 0;
}
