#pragma once
/* arena: bump allocator. What lives as long as a request (or a generation) is allocated here and freed at once.
 * arena_alloc does not fail: all that feeds it is limited, and if the kernel has no memory left the process ends. */
#include "base/slice.h"

struct arena_block;

struct arena {
    char *at, *end;                 /* free room of the current block */
    struct arena_block *blocks;     /* newest first; the oldest stays over a reset */
    char *first, *first_end;        /* the caller's memory, or NULL */
    size_t block_bytes;
};

/* No memory is taken before the first allocation. */
void arena_init(struct arena *a, size_t block_bytes);
/* Uses memory of the caller first, size bytes that outlive the arena; further blocks are its own. */
void arena_init_on(struct arena *a, void *memory, size_t size, size_t block_bytes);
/* Frees all but the first block. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

void *arena_grow(struct arena *a, size_t size);     /* private: the slow path of arena_alloc */

/* Aligned to 8 bytes, not cleared. */
static inline void *arena_alloc(struct arena *a, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if ((size_t)(a->end - a->at) < size)
        return arena_grow(a, size);
    void *p = a->at;
    a->at += size;
    return p;
}

void *arena_zero(struct arena *a, size_t size);
/* A copy with a NUL behind it. */
struct slice arena_copy(struct arena *a, struct slice s);
