#pragma once
/* dict_store: how a dictionary keeps its entries; for the dict*.c files only.
 *
 * Memory is blocks of 128 bytes, all alike. An entry is a chain of blocks, taken from one pool that all shards share:
 * any free block serves any entry, so that memory cannot fragment, and making room takes as many bytes as are needed,
 * not more. Blocks have numbers, 0 is none.
 *
 * A shard has a hash table and a list by last use. The locks: a shard's, and inside it at most the pool's; never two
 * shards. A new entry's blocks are reserved and filled before its shard is locked; those of a removed entry are given
 * back after. */
#include <stdatomic.h>

#include "base/dict.h"
#include "base/lock.h"
#include "base/siphash.h"

enum {
    BLOCK_BYTES = 128, HEAD_BYTES = 72, CHUNK_BLOCKS = 32768, SHARDS = 32, SHARD_BITS = 5,
    KEY_MAX = UINT16_MAX, VALUE_MAX = 1 << 20,
    FIRST_BYTES = BLOCK_BYTES - HEAD_BYTES, MORE_BYTES = BLOCK_BYTES - 4,
};

struct entry {                          /* the first block of its chain */
    uint32_t next_block;                /* only through block_next */
    uint32_t chain;                     /* the next entry of its hash bucket; of a doomed entry: the next doomed */
    uint32_t newer, older;              /* by last use */
    uint32_t hash, used_ms;
    uint32_t value_len;                 /* bytes of a string, behind the key */
    uint16_t key_len;
    uint8_t kind, unused;
    uint64_t scope;
    double expires_s;                   /* INFINITY: never */
    double state[3];                    /* a number or boolean is in the first; of limiters: see below */
    char bytes[FIRST_BYTES];            /* the key and the value; go on in blocks of MORE_BYTES */
};
_Static_assert(sizeof(struct entry) == BLOCK_BYTES, "an entry's head is one block");

struct shard {
    _Alignas(64) struct lock lock;
    uint32_t *buckets;                  /* heads of chains of entries */
    uint32_t mask;                      /* number of buckets, less one */
    uint32_t count, newest, oldest;
    uint32_t hand;                      /* the bucket where the next sweep for expired entries begins */
    double seen_s;                      /* first to expire of what the sweep has passed or came since */
    uint64_t hits, misses, evictions, expired;
    /* For who looks for room, without the lock: */
    _Atomic double due_s;               /* nothing expires before this */
    _Atomic uint64_t oldest_ms;         /* used_ms of the oldest entry, or NO_ENTRY */
};
#define NO_ENTRY UINT64_MAX

/* What limiters keep in e->state. A bucket: tokens, and when there were so many. A window: when it began, what was
 * taken in it and in the one before. */
enum { LEVEL, LEVEL_AT };
enum { BEGAN, TAKEN, TAKEN_BEFORE };

struct dict {
    struct siphash_key seed;
    _Atomic size_t bytes;
    _Atomic uint32_t limit, used;       /* blocks: that may be, and that are, taken or promised */
    _Atomic uint32_t turn;              /* the shard to begin with when room is made */
    _Alignas(64) struct lock pool;
    uint32_t free;                      /* chain of free blocks */
    uint32_t fresh;                     /* blocks from this on were never used */
    uint32_t chunks_mapped;
    char **chunks;                      /* CHUNKS_MAX places: block n is in chunk n / CHUNK_BLOCKS */
    struct shard shards[SHARDS];
};
#define CHUNKS_MAX (DICT_BYTES_MAX / BLOCK_BYTES / CHUNK_BLOCKS + 1)

static inline char *block_at(const struct dict *d, uint32_t block)
{
    return d->chunks[block / CHUNK_BLOCKS] + (size_t)(block % CHUNK_BLOCKS) * BLOCK_BYTES;
}
static inline struct entry *entry_at(const struct dict *d, uint32_t block)
{
    return (struct entry *)(void *)block_at(d, block);
}
static inline uint32_t *block_next(const struct dict *d, uint32_t block)
{
    return (uint32_t *)(void *)block_at(d, block);
}

/* Blocks that an entry with so many bytes of key and value takes. */
static inline uint32_t blocks_for(size_t bytes)
{
    return bytes <= FIRST_BYTES ? 1 : 1 + (uint32_t)((bytes - FIRST_BYTES + MORE_BYTES - 1) / MORE_BYTES);
}
static inline uint32_t entry_blocks(const struct entry *e) { return blocks_for((size_t)e->key_len + e->value_len); }

/* -- the bytes of an entry, in pieces -- */

struct run { char *at; size_t left; uint32_t block; };

static inline struct run run_of(const struct dict *d, uint32_t entry)
{
    return (struct run){ entry_at(d, entry)->bytes, FIRST_BYTES, entry };
}
/* The next piece, of at most `want` bytes; there must be some. */
static inline size_t run_take(const struct dict *d, struct run *r, size_t want, char **piece)
{
    if (!r->left) {
        uint32_t next = *block_next(d, r->block);
        *r = (struct run){ block_at(d, next) + BLOCK_BYTES - MORE_BYTES, MORE_BYTES, next };
    }
    size_t n = want < r->left ? want : r->left;
    *piece = r->at;
    r->at += n;
    r->left -= n;
    return n;
}
static inline void run_write(const struct dict *d, struct run *r, struct slice from)
{
    char *piece;
    for (size_t n; from.len; from = slice_from(from, n)) {
        n = run_take(d, r, from.len, &piece);
        memcpy(piece, from.at, n);
    }
}
static inline void run_read(const struct dict *d, struct run *r, char *to, size_t len)
{
    char *piece;
    for (size_t n; len; to += n, len -= n) {
        n = run_take(d, r, len, &piece);
        memcpy(to, piece, n);
    }
}
static inline void run_skip(const struct dict *d, struct run *r, size_t len)
{
    char *piece;
    while (len)
        len -= run_take(d, r, len, &piece);
}

/* -- blocks -- */

/* A chain of n blocks, 1 or more, that nobody else knows; entries give way for it where there is no room. 0 when there
 * can be none: the dictionary was made smaller since its limits were looked at. No lock may be held. */
uint32_t store_reserve(struct dict *d, uint32_t n, double now_s);
/* Gives back a chain of blocks. */
void store_give_chain(struct dict *d, uint32_t first);
/* Gives back removed entries, which are linked by `chain`. 0: there are none. */
void store_give_all(struct dict *d, uint32_t doomed);
static inline void store_give(struct dict *d, uint32_t doomed)
{
    if (doomed)
        store_give_all(d, doomed);
}

/* Frees the blocks of one entry at least; false when no shard has one. What has expired goes first, as far as a look at
 * some buckets of one shard finds it; else what was not used for the longest time. */
bool store_make_room(struct dict *d, double now_s);
/* The same for the oldest entry of one shard. */
bool store_drop_oldest(struct dict *d, struct shard *s, bool evicted);

/* Fills a reserved chain with what is told of an entry but its place in a shard; it expires at expires_s. */
void entry_fill(const struct dict *d, uint32_t entry, const struct dict_key *key, const struct dict_value *value,
                double expires_s);
/* Another value, of which there must be room in the chain. */
void entry_set_value(const struct dict *d, uint32_t entry, const struct dict_value *value);

/* -- shards; the lock of the shard is held, but for place_of -- */

struct place { struct shard *shard; uint32_t hash; const struct dict_key *key; };

struct place place_of(struct dict *d, const struct dict_key *key);

/* The link (in a bucket or an entry's `chain`) that leads to the key's entry, or NULL. One that has expired is removed:
 * give *doomed back after unlocking. */
uint32_t *shard_find(struct dict *d, const struct place *p, double now_s, uint32_t *doomed);
void shard_link(struct dict *d, const struct place *p, uint32_t entry, double now_s);
/* Takes the entry that a link leads to out, and puts it before *doomed. */
void shard_remove(struct dict *d, struct shard *s, uint32_t *link, uint32_t *doomed);
void shard_touch(struct dict *d, struct shard *s, uint32_t entry, double now_s);
void shard_set_expiry(struct shard *s, struct entry *e, double expires_s);

/* -- a change in place -- */

/* Changes e->state and gives the answer; *expires_s is the entry's and may be set. A fresh entry is all zero. */
typedef enum dict_answer entry_change_fn(struct entry *e, bool fresh, double now_s, double *expires_s, void *how);

/* Finds or makes an entry of this kind and changes it, in one step for all others. */
enum dict_answer store_change(struct dict *d, const struct dict_key *key, enum dict_kind kind, double now_s,
                              entry_change_fn *change, void *how);

/* -- all entries -- */

/* Must not keep the entry; the shard is locked. */
typedef void entry_visit_fn(void *who, const struct dict *d, uint32_t entry);

/* Visits the live entries of some buckets. *cursor is 0 at the beginning; false when there are no more. */
bool store_walk(struct dict *d, uint64_t *cursor, double now_s, entry_visit_fn *visit, void *who);
