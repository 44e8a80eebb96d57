#include "base/dict.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/dict_store.h"

enum { CHUNK_BYTES = CHUNK_BLOCKS * BLOCK_BYTES, BUCKETS_MIN = 16, SCRATCH_BYTES = 4096 };

/* -- life -- */

/* Buckets of a shard: one or two entries in each when all entries are as small as can be. */
static uint32_t buckets_for(size_t bytes)
{
    uint32_t buckets = BUCKETS_MIN;
    while ((size_t)buckets * SHARDS * 2 * BLOCK_BYTES < bytes)
        buckets *= 2;
    return buckets;
}

/* Blocks that are left of so many bytes. */
static uint32_t blocks_of(size_t bytes)
{
    size_t tables = sizeof(uint32_t) * SHARDS * buckets_for(bytes) + sizeof(char *) * (bytes / CHUNK_BYTES + 1);
    return (uint32_t)((bytes - sizeof(struct dict) - tables) / BLOCK_BYTES);
}

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Address space for so many blocks; memory comes when a block is used for the first time. */
static enum rc map_chunks(struct dict *d, uint32_t blocks)
{
    while ((size_t)d->chunks_mapped * CHUNK_BLOCKS < (size_t)blocks + 1) {      /* block 0 is none */
        char *chunk = map(CHUNK_BYTES);
        if (!chunk)
            return RC_LIMIT;
        d->chunks[d->chunks_mapped++] = chunk;
    }
    return RC_OK;
}

/* The shard's entries into a table with more buckets. */
static void rehash(struct dict *d, struct shard *s, uint32_t *buckets, uint32_t count)
{
    lock_take(&s->lock);
    for (uint32_t entry = s->oldest; entry; entry = entry_at(d, entry)->newer) {
        uint32_t *bucket = &buckets[entry_at(d, entry)->hash & (count - 1)];
        entry_at(d, entry)->chain = *bucket;
        *bucket = entry;
    }
    uint32_t *old = s->buckets;
    s->buckets = buckets;
    s->mask = count - 1;
    s->hand = 0;
    lock_leave(&s->lock);
    free(old);
}

static enum rc grow_tables(struct dict *d, uint32_t count)
{
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        if (s->buckets && s->mask + 1 >= count)
            continue;
        uint32_t *buckets = calloc(count, sizeof *buckets);
        if (!buckets)
            return RC_LIMIT;
        rehash(d, s, buckets, count);
    }
    return RC_OK;
}

/* Gives the memory of blocks back to the system when all are free. */
static void trim(struct dict *d)
{
    lock_take(&d->pool);
    if (atomic_load(&d->used) == 0) {
        for (uint32_t i = 0; i < d->chunks_mapped; i++)
            (void)madvise(d->chunks[i], CHUNK_BYTES, MADV_DONTNEED);     /* refused: it stays ours */
        d->free = 0;
        d->fresh = 1;
    }
    lock_leave(&d->pool);
}

enum rc dict_resize(struct dict *d, size_t bytes, double now_s)
{
    if (bytes < DICT_BYTES_MIN || bytes > DICT_BYTES_MAX)
        return RC_LIMIT;
    if (map_chunks(d, blocks_of(bytes)) != RC_OK || grow_tables(d, buckets_for(bytes)) != RC_OK)
        return RC_LIMIT;
    atomic_store(&d->bytes, bytes);
    atomic_store(&d->limit, blocks_of(bytes));
    while (atomic_load(&d->used) > atomic_load(&d->limit) && store_make_room(d, now_s))
        ;
    trim(d);
    return RC_OK;
}

struct dict *dict_new(size_t bytes)
{
    struct dict *d = aligned_alloc(_Alignof(struct dict), sizeof *d);
    if (!d)
        return NULL;
    memset(d, 0, sizeof *d);
    if (getrandom(&d->seed, sizeof d->seed, 0) != sizeof d->seed)
        d->seed = (struct siphash_key){ slice_hash(SLICE_OF("a")), slice_hash(SLICE_OF("b")) };
    d->fresh = 1;
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        s->due_s = INFINITY;
        s->oldest_ms = NO_ENTRY;
    }
    d->chunks = map(CHUNKS_MAX * sizeof *d->chunks);
    if (d->chunks && dict_resize(d, bytes, 0) == RC_OK)
        return d;
    dict_free(d);
    return NULL;
}

void dict_free(struct dict *d)
{
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++)
        free(s->buckets);
    for (uint32_t i = 0; i < d->chunks_mapped; i++)
        munmap(d->chunks[i], CHUNK_BYTES);
    if (d->chunks)
        munmap(d->chunks, CHUNKS_MAX * sizeof *d->chunks);
    free(d);
}

size_t dict_key_limit(const struct dict *d)
{
    size_t share = atomic_load_explicit(&d->bytes, memory_order_relaxed) / 8;
    return share < KEY_MAX ? share : KEY_MAX;
}

size_t dict_value_limit(const struct dict *d)
{
    size_t share = atomic_load_explicit(&d->bytes, memory_order_relaxed) / 4;
    return share < VALUE_MAX ? share : VALUE_MAX;
}

/* -- what is copied out: per thread, because a view into a shard would need its lock -- */

static _Thread_local struct { char *at; size_t cap; } scratch;
static pthread_key_t scratch_end;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void make_scratch_end(void)
{
    if (pthread_key_create(&scratch_end, free) != 0)
        abort();
}

/* Room for so many bytes; what was in it stays. */
static char *scratch_room(size_t bytes)
{
    if (bytes <= scratch.cap)
        return scratch.at;
    size_t cap = scratch.cap ? scratch.cap : SCRATCH_BYTES;
    while (cap < bytes)
        cap *= 2;
    char *at = realloc(scratch.at, cap);
    if (!at || pthread_once(&scratch_once, make_scratch_end) != 0 || pthread_setspecific(scratch_end, at) != 0)
        abort();
    scratch.at = at;
    scratch.cap = cap;
    return at;
}

/* -- one entry -- */

/* False when the scratch is too small for it: *need tells. */
static inline bool read_value(const struct dict *d, uint32_t entry, struct dict_value *out, size_t *need)
{
    const struct entry *e = entry_at(d, entry);
    if (e->value_len > scratch.cap) {
        *need = e->value_len;
        return false;
    }
    *out = (struct dict_value){ .kind = e->kind, .number = e->state[0], .text = { scratch.at, e->value_len } };
    if (e->value_len == 0)
        return true;
    if (entry_blocks(e) == 1) {
        memcpy(scratch.at, e->bytes + e->key_len, e->value_len);
        return true;
    }
    struct run r = run_of(d, entry);
    run_skip(d, &r, e->key_len);
    run_read(d, &r, scratch.at, e->value_len);
    return true;
}

enum dict_answer dict_get(struct dict *d, const struct dict_key *key, double now_s, struct dict_value *out,
                          double *left_s)
{
    if (key->text.len > KEY_MAX)
        return DICT_ABSENT;
    struct place p = place_of(d, key);
    for (;;) {
        uint32_t doomed = 0;
        size_t need = 0;
        enum dict_answer answer = DICT_ABSENT;
        lock_take(&p.shard->lock);
        const uint32_t *link = shard_find(d, &p, now_s, &doomed);
        uint32_t entry = link ? *link : 0;
        if (!entry) {
            p.shard->misses++;
        } else if (entry_at(d, entry)->kind > DICT_BOOLEAN) {
            answer = DICT_WRONG_KIND;
        } else if (read_value(d, entry, out, &need)) {
            p.shard->hits++;
            *left_s = entry_at(d, entry)->expires_s - now_s;
            shard_touch(d, p.shard, entry, now_s);
            answer = DICT_DONE;
        }
        lock_leave(&p.shard->lock);
        store_give(d, doomed);
        if (!need)
            return answer;
        (void)scratch_room(need);
    }
}

/* Whether the mode lets a key be set. */
static enum dict_answer may_put(enum dict_mode mode, bool there)
{
    if (mode == DICT_ADD && there)
        return DICT_EXISTS;
    return mode == DICT_REPLACE && !there ? DICT_ABSENT : DICT_DONE;
}

static enum dict_answer check_limits(const struct dict *d, const struct dict_key *key, const struct dict_value *value)
{
    if (key->text.len > dict_key_limit(d))
        return DICT_KEY_LIMIT;
    if (value->kind == DICT_STRING && value->text.len > dict_value_limit(d))
        return DICT_VALUE_LIMIT;
    return DICT_DONE;
}

/* Writes over the value of an entry that is one block before and after. */
static bool put_in_place(struct dict *d, const struct place *p, uint32_t entry, const struct dict_value *value,
                         double expires_s, double now_s)
{
    struct entry *e = entry_at(d, entry);
    size_t len = value->kind == DICT_STRING ? value->text.len : 0;
    if (entry_blocks(e) != 1 || blocks_for(e->key_len + len) != 1)
        return false;
    entry_set_value(d, entry, value);
    shard_set_expiry(p->shard, e, expires_s);
    shard_touch(d, p->shard, entry, now_s);
    return true;
}

/* A new entry is filled before the shard is locked; so a first look tells whether one is needed at all. */
enum dict_answer dict_put(struct dict *d, const struct dict_key *key, const struct dict_value *value, double ttl_s,
                          double now_s, enum dict_mode mode)
{
    enum dict_answer answer = check_limits(d, key, value);
    if (answer != DICT_DONE)
        return answer;
    struct place p = place_of(d, key);
    for (uint32_t spare = 0, done = 0;;) {
        uint32_t doomed = 0;
        lock_take(&p.shard->lock);
        uint32_t *link = shard_find(d, &p, now_s, &doomed);
        answer = may_put(mode, link != NULL);
        if (answer != DICT_DONE) {
            done = 1;
        } else if (spare) {
            if (link)
                shard_remove(d, p.shard, link, &doomed);
            shard_link(d, &p, spare, now_s);
            spare = 0;
            done = 1;
        } else {
            done = link && put_in_place(d, &p, *link, value, now_s + ttl_s, now_s);
        }
        lock_leave(&p.shard->lock);
        store_give(d, doomed);
        if (done) {
            store_give_chain(d, spare);
            return answer;
        }
        size_t len = value->kind == DICT_STRING ? value->text.len : 0;
        spare = store_reserve(d, blocks_for(key->text.len + len), now_s);
        if (!spare)
            return DICT_VALUE_LIMIT;
        entry_fill(d, spare, key, value, now_s + ttl_s);
    }
}

struct addition { double by, init, ttl_s, sum; };

static enum dict_answer add_to(struct entry *e, bool fresh, double now_s, double *expires_s, void *how)
{
    struct addition *a = how;
    if (fresh) {
        e->state[0] = a->init;
        *expires_s = now_s + a->ttl_s;
    }
    a->sum = e->state[0] += a->by;
    return DICT_DONE;
}

enum dict_answer dict_incr(struct dict *d, const struct dict_key *key, double by, double init, double ttl_s,
                           double now_s, double *sum)
{
    struct addition a = { by, init, ttl_s, 0 };
    enum dict_answer answer = store_change(d, key, DICT_NUMBER, now_s, add_to, &a);
    *sum = a.sum;
    return answer;
}

enum deed { LOOK, EXPIRE, DELETE };

/* Does one thing to an entry that is there. *expires_s is what LOOK finds and EXPIRE sets. */
static enum dict_answer with_entry(struct dict *d, const struct dict_key *key, double now_s, enum deed deed,
                                   double *expires_s)
{
    if (key->text.len > KEY_MAX)
        return DICT_ABSENT;
    struct place p = place_of(d, key);
    uint32_t doomed = 0;
    lock_take(&p.shard->lock);
    uint32_t *link = shard_find(d, &p, now_s, &doomed);
    bool found = link != NULL;
    if (found && deed == LOOK)
        *expires_s = entry_at(d, *link)->expires_s;
    else if (found && deed == EXPIRE)
        shard_set_expiry(p.shard, entry_at(d, *link), *expires_s);
    else if (found)
        shard_remove(d, p.shard, link, &doomed);
    lock_leave(&p.shard->lock);
    store_give(d, doomed);
    return found ? DICT_DONE : DICT_ABSENT;
}

enum dict_answer dict_left(struct dict *d, const struct dict_key *key, double now_s, double *left_s)
{
    double expires_s = now_s;
    enum dict_answer answer = with_entry(d, key, now_s, LOOK, &expires_s);
    *left_s = expires_s - now_s;
    return answer;
}

enum dict_answer dict_expire(struct dict *d, const struct dict_key *key, double ttl_s, double now_s)
{
    double expires_s = now_s + ttl_s;
    return with_entry(d, key, now_s, EXPIRE, &expires_s);
}

enum dict_answer dict_delete(struct dict *d, const struct dict_key *key, double now_s)
{
    return with_entry(d, key, now_s, DELETE, NULL);
}

/* -- all entries -- */

static void note_key(void *who, const struct dict *d, uint32_t entry)
{
    size_t *len = who;
    const struct entry *e = entry_at(d, entry);
    if (e->scope)
        return;
    uint32_t key_len = e->key_len;
    char *at = scratch_room(*len + sizeof key_len + key_len) + *len;
    memcpy(at, &key_len, sizeof key_len);
    struct run r = run_of(d, entry);
    run_read(d, &r, at + sizeof key_len, key_len);
    *len += sizeof key_len + key_len;
}

bool dict_keys(struct dict *d, uint64_t *cursor, double now_s, struct slice *keys)
{
    size_t len = 0;
    bool more = store_walk(d, cursor, now_s, note_key, &len);
    *keys = slice_make(scratch.at, len);
    return more;
}

void dict_flush(struct dict *d)
{
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        lock_take(&s->lock);
        uint32_t count = s->count;
        lock_leave(&s->lock);
        while (count && store_drop_oldest(d, s, false))     /* not what comes in meanwhile */
            count--;
    }
}

void dict_stats_read(struct dict *d, struct dict_stats *out)
{
    *out = (struct dict_stats){ .bytes = atomic_load(&d->bytes) };
    out->bytes_used = (uint64_t)atomic_load(&d->used) * BLOCK_BYTES;
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        lock_take(&s->lock);
        out->entries += s->count;
        out->hits += s->hits;
        out->misses += s->misses;
        out->evictions += s->evictions;
        out->expired += s->expired;
        lock_leave(&s->lock);
    }
}
