#pragma once
/* random: numbers for spreading load, quick and without a lock; never for secrets. SplitMix64 (Steele, Lea, Flood). */
#include <stdint.h>

struct random { uint64_t state; };      /* seeded by its owner, from the kernel */

static inline uint64_t random_next(struct random *r)
{
    uint64_t n = r->state += 0x9e3779b97f4a7c15u;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
    n = (n ^ n >> 27) * 0x94d049bb133111ebu;
    return n ^ n >> 31;
}

/* 0 to bound - 1; bound is at least 1. Its bias is below bound / 2^64. */
static inline uint64_t random_below(struct random *r, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)random_next(r) * bound >> 64);
}
