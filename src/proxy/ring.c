#include "proxy/ring.h"

#include <stdlib.h>

#include "base/siphash.h"

struct point { uint32_t hash; uint16_t node; };

uint64_t ring_hash(struct slice s)
{
    static const struct siphash_key key = { 0x74696465u, 0x67617465u };     /* no secret: all gateways must agree */
    return siphash(key, s);
}

/* Spreads a node's points: the finaliser of SplitMix64 (Steele, Lea, Flood). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int compare(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    if (p->hash != q->hash)
        return p->hash < q->hash ? -1 : 1;
    return (p->node > q->node) - (p->node < q->node);
}

static uint32_t points_of(uint32_t weight, unsigned halvings)
{
    uint64_t n = (uint64_t)weight * RING_POINTS_PER_WEIGHT >> halvings;
    return n || !weight ? (uint32_t)n : 1;
}

/* Halving leaves every second point where it was: keys of the others stay. */
static uint32_t count_points(const uint32_t *weights, uint32_t count, unsigned *halvings)
{
    for (*halvings = 0;; ++*halvings) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < count; i++)
            sum += points_of(weights[i], *halvings);
        if (sum <= RING_POINTS_MAX)
            return (uint32_t)sum;
    }
}

static void index_points(struct ring *r, struct arena *a)
{
    unsigned bits = 1;
    while (bits < 31 && 1u << bits < r->count)
        bits++;
    uint32_t buckets = 1u << bits, point = 0;
    r->shift = 32 - bits;
    r->start = arena_alloc(a, buckets * sizeof *r->start);
    for (uint32_t b = 0; b < buckets; b++) {
        while (point < r->count && r->hash[point] < b << r->shift)
            point++;
        r->start[b] = point;
    }
}

struct ring *ring_new(struct arena *a, const struct slice *names, const uint32_t *weights, uint32_t count)
{
    struct ring *r = arena_zero(a, sizeof *r);
    unsigned halvings;
    uint32_t total = count_points(weights, count, &halvings), n = 0;
    struct point *points = malloc((total + 1) * sizeof *points);
    if (!points)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t seed = ring_hash(names[i]);
        for (uint32_t k = points_of(weights[i], halvings); k > 0; k--)
            points[n++] = (struct point){ (uint32_t)(mix(seed + k * 0x9e3779b97f4a7c15u) >> 32), (uint16_t)i };
    }
    qsort(points, n, sizeof *points, compare);
    r->count = n;
    r->hash = arena_alloc(a, (n + 1) * sizeof *r->hash);
    r->node = arena_alloc(a, (n + 1) * sizeof *r->node);
    for (uint32_t i = 0; i < n; i++) {
        r->hash[i] = points[i].hash;
        r->node[i] = points[i].node;
    }
    free(points);
    index_points(r, a);
    return r;
}
