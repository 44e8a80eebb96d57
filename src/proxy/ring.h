#pragma once
/* ring: consistent hashing. Each node has points on a circle of 32-bit numbers, as many as its weight says; a key
 * belongs to the next point clockwise. When a node goes, its keys alone move, to whoever comes next behind each of its
 * points. Points depend on names and weights only: every loop, generation and gateway makes the same circle. Immutable
 * once made. */
#include "base/arena.h"

enum {
    RING_POINTS_PER_WEIGHT = 512,
    RING_POINTS_MAX = 1 << 18,          /* with more, each node gets half as many, and so on, but one at least */
};

struct ring {
    uint32_t count;
    unsigned shift;                     /* of a hash, to its place in start */
    uint32_t *hash;                     /* points, in ascending order */
    uint16_t *node;                     /* whose they are */
    uint32_t *start;                    /* where to look first, by the high bits of a hash */
};

/* Lies in the arena. names[i] has weights[i]; 0: no points. count is below 65536. */
struct ring *ring_new(struct arena *a, const struct slice *names, const uint32_t *weights, uint32_t count);

/* The hash of a name or a key; the same on every machine. */
uint64_t ring_hash(struct slice s);

/* The first point of a key; the next one is ring_next. The ring has points. */
static inline uint32_t ring_find(const struct ring *r, uint64_t hash)
{
    uint32_t h = (uint32_t)(hash >> 32), i = r->start[h >> r->shift];
    while (i < r->count && r->hash[i] < h)
        i++;
    return i < r->count ? i : 0;
}

static inline uint32_t ring_next(const struct ring *r, uint32_t point) { return point + 1 < r->count ? point + 1 : 0; }
