#pragma once
/* freelist: recycles objects of one size within one loop (no locks). Objects come from slabs, so that ten thousand idle
 * connections cost their size and no allocator overhead. Slabs are given back when the freelist is freed. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct freelist {
    void *free;             /* chain through the first word of each free object */
    void *slabs;            /* chain through the first word of each slab */
    size_t size;            /* of an object */
    uint32_t per_slab;
    _Atomic uint32_t live;  /* objects handed out; written by the loop alone, others may look (freelist_live) */
};

void freelist_init(struct freelist *f, size_t size, uint32_t per_slab);
void freelist_free(struct freelist *f);
/* Never NULL. Its first clear_bytes are zero, the others whatever was left there. */
void *freelist_take(struct freelist *f, size_t clear_bytes);
void freelist_give(struct freelist *f, void *object);

/* From any thread. */
static inline uint32_t freelist_live(const struct freelist *f)
{
    return atomic_load_explicit(&f->live, memory_order_relaxed);
}
