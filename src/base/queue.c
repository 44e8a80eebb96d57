#include "base/queue.h"

#include <assert.h>
#include <stdlib.h>

struct record { uint32_t len, tag; };       /* before each record; len SKIP: the rest of the ring is unused */

#define SKIP UINT32_MAX

static uint64_t padded(uint64_t len) { return (sizeof(struct record) + len + 7) & ~(uint64_t)7; }

void queue_init(struct queue *q, uint32_t cap)
{
    assert((cap & (cap - 1)) == 0);
    *q = (struct queue){ .ring = malloc(cap), .cap = cap };
    if (!q->ring)
        abort();
}

void queue_free(struct queue *q)
{
    free(q->ring);
    q->ring = NULL;
}

static struct record *record_at(struct queue *q, uint64_t position)
{
    return (struct record *)(void *)(q->ring + (position & (q->cap - 1)));
}

char *queue_reserve(struct queue *q, uint32_t max)
{
    assert(max <= q->cap / 4);
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    uint64_t to_end = q->cap - (head & (q->cap - 1));
    uint64_t need = padded(max) + (to_end < padded(max) ? to_end : 0);
    if (head + need - q->tail_seen > q->cap) {
        q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
        if (head + need - q->tail_seen > q->cap)
            return NULL;
    }
    if (to_end < padded(max)) {
        record_at(q, head)->len = SKIP;
        head += to_end;
        atomic_store_explicit(&q->head, head, memory_order_release);
    }
    return (char *)(record_at(q, head) + 1);
}

void queue_commit(struct queue *q, uint32_t tag, uint32_t len)
{
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    *record_at(q, head) = (struct record){ len, tag };
    atomic_store_explicit(&q->head, head + padded(len), memory_order_release);
}

bool queue_peek(struct queue *q, uint32_t *tag, struct slice *record)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&q->head, memory_order_acquire))
        return false;
    struct record *r = record_at(q, tail);
    if (r->len == SKIP) {
        tail += q->cap - (tail & (q->cap - 1));
        atomic_store_explicit(&q->tail, tail, memory_order_release);
        if (tail == atomic_load_explicit(&q->head, memory_order_acquire))
            return false;
        r = record_at(q, tail);
    }
    *tag = r->tag;
    *record = slice_make((char *)(r + 1), r->len);
    return true;
}

void queue_release(struct queue *q)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    atomic_store_explicit(&q->tail, tail + padded(record_at(q, tail)->len), memory_order_release);
}

uint64_t queue_used(struct queue *q)
{
    return atomic_load_explicit(&q->head, memory_order_relaxed) - atomic_load_explicit(&q->tail, memory_order_relaxed);
}
