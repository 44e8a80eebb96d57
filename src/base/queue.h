#pragma once
/* queue: bounded, lock-free, from one writing thread to one reading thread. Records are runs of bytes with a tag,
 * written in place. A full queue refuses: the writer counts the loss and goes on, it never waits. */
#include <stdatomic.h>

#include "base/slice.h"

struct queue {
    char *ring;
    uint32_t cap;                           /* a power of two */
    _Alignas(64) _Atomic uint64_t head;     /* where the writer continues */
    uint64_t tail_seen;                     /* the writer's last look at tail */
    _Alignas(64) _Atomic uint64_t tail;     /* where the reader continues */
};

void queue_init(struct queue *q, uint32_t cap);
void queue_free(struct queue *q);

/* Writer: room for a record of at most max bytes, contiguous, or NULL when there is none. Nothing is visible before
 * queue_commit; a reservation may be dropped by not committing. max is at most a quarter of cap. */
char *queue_reserve(struct queue *q, uint32_t max);
void queue_commit(struct queue *q, uint32_t tag, uint32_t len);

/* Reader: the oldest record, a view that holds until queue_release. False when empty. */
bool queue_peek(struct queue *q, uint32_t *tag, struct slice *record);
void queue_release(struct queue *q);

/* Either side; a guess while the other runs. */
uint64_t queue_used(struct queue *q);
