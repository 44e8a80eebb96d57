#include "base/freelist.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
/* Recycling hides use after free from the sanitizer: there, every object is its own allocation. */
#define FREELIST_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FREELIST_PLAIN 1
#endif
#endif

void freelist_init(struct freelist *f, size_t size, uint32_t per_slab)
{
    size = (size + 15) & ~(size_t)15;
    *f = (struct freelist){ .size = size, .per_slab = per_slab };
}

void freelist_free(struct freelist *f)
{
    for (void *slab = f->slabs, *next; slab; slab = next) {
        next = *(void **)slab;
        free(slab);
    }
    f->slabs = f->free = NULL;
}

/* One writer: no locked instruction is needed. */
static void count_live(struct freelist *f, int n)
{
    atomic_store_explicit(&f->live, freelist_live(f) + (uint32_t)n, memory_order_relaxed);
}

#ifdef FREELIST_PLAIN
void *freelist_take(struct freelist *f, size_t clear_bytes)
{
    void *object = malloc(f->size);
    if (!object)
        abort();
    count_live(f, 1);
    return memset(object, 0, clear_bytes);
}

void freelist_give(struct freelist *f, void *object)
{
    count_live(f, -1);
    free(object);
}
#else
static void grow(struct freelist *f)
{
    char *slab = malloc(16 + f->size * f->per_slab);
    if (!slab)
        abort();            /* what is handed out is limited: the kernel is out of memory */
    *(void **)(void *)slab = f->slabs;
    f->slabs = slab;
    for (uint32_t i = f->per_slab; i-- > 0;) {
        void *object = slab + 16 + i * f->size;
        *(void **)object = f->free;
        f->free = object;
    }
}

void *freelist_take(struct freelist *f, size_t clear_bytes)
{
    if (!f->free)
        grow(f);
    void *object = f->free;
    f->free = *(void **)object;
    count_live(f, 1);
    return memset(object, 0, clear_bytes);
}

void freelist_give(struct freelist *f, void *object)
{
    *(void **)object = f->free;
    f->free = object;
    count_live(f, -1);
}
#endif
