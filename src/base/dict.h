#pragma once
/* dict: a dictionary that all threads share. Bounded: it has its memory from the start, and what was not used for the
 * longest time gives way to what is new, after what has expired. Values are bytes, numbers and booleans.
 *
 * Every function is atomic for its key and may be called by any thread, but for dict_new, dict_free and dict_resize.
 * A key belongs to one of 32 shards by a keyed hash; a shard's lock is held to look the key up and copy the value,
 * never for more. Times are seconds of one monotonic clock, which the caller reads: `now_s` may differ a little between
 * threads. A time to live of INFINITY is for ever; one of 0 or less is over at once. */
#include "base/rc.h"
#include "base/slice.h"

#define DICT_BYTES_MIN ((size_t)64 << 10)
#define DICT_BYTES_MAX ((size_t)16 << 30)

struct dict;

/* The scope tells spaces of keys apart that share a dictionary: the same text in another scope is another key. */
struct dict_key { struct slice text; uint64_t scope; };

enum dict_kind {
    DICT_STRING = 1, DICT_NUMBER, DICT_BOOLEAN,
    DICT_BUCKET, DICT_WINDOW,   /* what a limiter counts with (dict_limit.h); not to be read */
};

struct dict_value {
    enum dict_kind kind;
    double number;              /* of a number; 0 or 1 of a boolean */
    struct slice text;          /* of a string */
};

enum dict_answer {
    DICT_DONE,
    DICT_ABSENT,                /* there is no such key, or it has expired */
    DICT_EXISTS,                /* there is such a key already */
    DICT_WRONG_KIND,            /* the value is not of the kind that this takes */
    DICT_KEY_LIMIT,             /* longer than dict_key_limit */
    DICT_VALUE_LIMIT,           /* longer than dict_value_limit */
};

enum dict_mode {
    DICT_SET,
    DICT_ADD,                   /* only where the key is absent: else DICT_EXISTS */
    DICT_REPLACE,               /* only where it is there: else DICT_ABSENT */
};

struct dict_stats {
    uint64_t bytes, bytes_used; /* given, and taken by entries with their keys and values */
    uint64_t entries;           /* those that have expired and are not cleared away yet among them */
    uint64_t hits, misses;      /* of dict_get */
    uint64_t evictions;         /* entries that gave way before their time */
    uint64_t expired;
};

/* All of its memory counts: entries, keys, values, tables. NULL where bytes are outside of the limits above or the
 * system has no such memory. Free it when no thread uses it any more. */
struct dict *dict_new(size_t bytes);
void dict_free(struct dict *d);

/* More or less memory, at any time; one thread at a time. Less: what was not used for the longest time goes at once.
 * RC_LIMIT where dict_new would give NULL; then nothing has changed. */
enum rc dict_resize(struct dict *d, size_t bytes, double now_s);

/* In bytes; they grow with the dictionary, up to 65,535 and 1 MiB. */
size_t dict_key_limit(const struct dict *d);
size_t dict_value_limit(const struct dict *d);

/* DICT_DONE, DICT_ABSENT or DICT_WRONG_KIND. A text is a copy that belongs to the calling thread and holds until its
 * next call of dict_get or dict_keys. *left_s: what is left of its time to live. */
enum dict_answer dict_get(struct dict *d, const struct dict_key *key, double now_s, struct dict_value *out,
                          double *left_s);

enum dict_answer dict_put(struct dict *d, const struct dict_key *key, const struct dict_value *value, double ttl_s,
                          double now_s, enum dict_mode mode);

/* Adds to a number. An absent one is made as init + by, and gets this time to live; one that is there keeps its own.
 * *sum is set on DICT_DONE. */
enum dict_answer dict_incr(struct dict *d, const struct dict_key *key, double by, double init, double ttl_s,
                           double now_s, double *sum);

/* What is left of the time to live, without use being noted. */
enum dict_answer dict_left(struct dict *d, const struct dict_key *key, double now_s, double *left_s);

/* Another time to live, from now on. */
enum dict_answer dict_expire(struct dict *d, const struct dict_key *key, double ttl_s, double now_s);

enum dict_answer dict_delete(struct dict *d, const struct dict_key *key, double now_s);

/* Some keys of scope 0 and where to go on. *cursor is 0 at the beginning; false when there are no more. Each key is its
 * length, a uint32_t in the machine's order, and its bytes; there may be none in a piece. What is there from beginning
 * to end is told at least once. *keys belongs to the calling thread like the text of dict_get. */
bool dict_keys(struct dict *d, uint64_t *cursor, double now_s, struct slice *keys);

/* Forgets all entries of all scopes. */
void dict_flush(struct dict *d);

void dict_stats_read(struct dict *d, struct dict_stats *out);
