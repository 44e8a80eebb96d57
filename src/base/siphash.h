#pragma once
/* siphash: SipHash-1-3 (Aumasson and Bernstein), a keyed hash: who does not know the key cannot make bytes collide. The
 * short form is what hash tables need; it is no signature. */
#include "base/slice.h"

struct siphash_key { uint64_t a, b; };

struct siphash_state { uint64_t a, b, c, d; };

static inline uint64_t siphash_turn(uint64_t x, unsigned bits) { return x << bits | x >> (64 - bits); }

static inline void siphash_stir(struct siphash_state *v)
{
    v->a += v->b;
    v->c += v->d;
    v->b = siphash_turn(v->b, 13) ^ v->a;
    v->d = siphash_turn(v->d, 16) ^ v->c;
    v->a = siphash_turn(v->a, 32);
    v->c += v->b;
    v->a += v->d;
    v->b = siphash_turn(v->b, 17) ^ v->c;
    v->d = siphash_turn(v->d, 21) ^ v->a;
    v->c = siphash_turn(v->c, 32);
}

static inline void siphash_absorb(struct siphash_state *v, uint64_t word)
{
    v->d ^= word;
    siphash_stir(v);
    v->a ^= word;
}

static inline uint64_t siphash_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* What is left after whole words, up to seven bytes, as the low bytes of a word. */
static inline uint64_t siphash_tail(struct slice s)
{
    unsigned left = s.len & 7;
    if (left && s.len > 8)
        return siphash_word(s.at + s.len - 8) >> (64 - 8 * left);    /* one load that begins in the word before */
    uint64_t word = 0;
    for (const char *at = s.at + s.len - left; left; left--)
        word = word << 8 | (unsigned char)at[left - 1];
    return word;
}

static inline uint64_t siphash(struct siphash_key key, struct slice s)
{
    struct siphash_state v = {
        key.a ^ 0x736f6d6570736575u, key.b ^ 0x646f72616e646f6du,
        key.a ^ 0x6c7967656e657261u, key.b ^ 0x7465646279746573u,
    };
    for (size_t i = 0; i + 8 <= s.len; i += 8)
        siphash_absorb(&v, siphash_word(s.at + i));
    siphash_absorb(&v, (uint64_t)s.len << 56 | siphash_tail(s));
    v.c ^= 0xff;
    siphash_stir(&v);
    siphash_stir(&v);
    siphash_stir(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}
