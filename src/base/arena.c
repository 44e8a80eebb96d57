#include "base/arena.h"

#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t size;            /* of the room behind this head */
};

void arena_init(struct arena *a, size_t block_bytes) { *a = (struct arena){ .block_bytes = block_bytes }; }

void arena_init_on(struct arena *a, void *memory, size_t size, size_t block_bytes)
{
    char *end = (char *)memory + size;
    *a = (struct arena){ .at = memory, .end = end, .block_bytes = block_bytes, .first = memory, .first_end = end };
}

static void open_block(struct arena *a, struct arena_block *b)
{
    a->at = (char *)(b + 1);
    a->end = a->at + b->size;
}

void *arena_grow(struct arena *a, size_t size)
{
    size_t usual = a->block_bytes - sizeof(struct arena_block), room = size > usual ? size : usual;
    struct arena_block *b = malloc(sizeof *b + room);
    if (!b)
        abort();
    b->next = a->blocks;
    b->size = room;
    a->blocks = b;
    open_block(a, b);
    void *p = a->at;
    a->at += size;
    return p;
}

static struct arena_block *free_blocks(struct arena_block *b, bool keep_last)
{
    while (b && (b->next || !keep_last)) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    return b;
}

void arena_reset(struct arena *a)
{
    a->blocks = free_blocks(a->blocks, !a->first);
    a->at = a->first;
    a->end = a->first_end;
    if (a->blocks)
        open_block(a, a->blocks);
}

void arena_free(struct arena *a)
{
    free_blocks(a->blocks, false);
    a->blocks = NULL;
    a->at = a->first;
    a->end = a->first_end;
}

void *arena_zero(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    return size ? memset(p, 0, size) : p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(p, s.at, s.len);
    p[s.len] = 0;
    return slice_make(p, s.len);
}
