#include "base/series.h"

#include <stdlib.h>

char *series_open(struct series *s, uint32_t number, size_t size)
{
    char *chunk = calloc(SERIES_CHUNK, size);
    if (!chunk)
        abort();
    atomic_store_explicit(&s->chunks[number / SERIES_CHUNK], chunk, memory_order_release);
    return chunk;
}

void series_free(struct series *s)
{
    for (uint32_t i = 0; i < SERIES_CHUNKS; i++)
        free(atomic_load_explicit(&s->chunks[i], memory_order_relaxed));
}
