#include "base/dict_store.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>

enum { POOL_BATCH = 64, SWEEP_BUCKETS = 16, WALK_BUCKETS = 64 };

/* -- the bytes of an entry -- */

static bool key_goes_on(const struct dict *d, uint32_t entry, struct slice text)
{
    struct run r = run_of(d, entry);
    char *piece;
    while (text.len) {
        size_t n = run_take(d, &r, text.len, &piece);
        if (memcmp(piece, text.at, n) != 0)
            return false;
        text = slice_from(text, n);
    }
    return true;
}

static inline bool key_is(const struct dict *d, uint32_t entry, struct slice text)
{
    if (text.len <= FIRST_BYTES)
        return text.len == 0 || memcmp(entry_at(d, entry)->bytes, text.at, text.len) == 0;
    return key_goes_on(d, entry, text);
}

void entry_set_value(const struct dict *d, uint32_t entry, const struct dict_value *value)
{
    struct entry *e = entry_at(d, entry);
    e->kind = (uint8_t)value->kind;
    e->state[0] = value->number;
    e->state[1] = e->state[2] = 0;
    e->value_len = 0;
    if (value->kind == DICT_STRING) {
        struct run r = run_of(d, entry);
        e->value_len = (uint32_t)value->text.len;
        run_skip(d, &r, e->key_len);
        run_write(d, &r, value->text);
    }
}

void entry_fill(const struct dict *d, uint32_t entry, const struct dict_key *key, const struct dict_value *value,
                double expires_s)
{
    struct entry *e = entry_at(d, entry);
    struct run r = run_of(d, entry);
    e->scope = key->scope;
    e->key_len = (uint16_t)key->text.len;
    e->expires_s = expires_s;
    run_write(d, &r, key->text);
    entry_set_value(d, entry, value);
}

/* -- blocks -- */

/* A promise of up to n blocks: they are free or fresh until pool_take is called for them. */
static uint32_t pool_promise(struct dict *d, uint32_t n)
{
    uint32_t used = atomic_load_explicit(&d->used, memory_order_relaxed), limit, most;
    do {
        limit = atomic_load_explicit(&d->limit, memory_order_relaxed);
        most = used < limit ? limit - used : 0;
        if (most > n)
            most = n;
    } while (most && !atomic_compare_exchange_weak(&d->used, &used, used + most));
    return most;
}

/* Puts n promised blocks before *first. */
static void pool_take(struct dict *d, uint32_t n, uint32_t *first)
{
    while (n) {
        lock_take(&d->pool);
        for (int i = 0; i < POOL_BATCH && n; i++, n--) {
            uint32_t block = d->free;
            if (block)
                d->free = *block_next(d, block);
            else
                block = d->fresh++;
            *block_next(d, block) = *first;
            *first = block;
        }
        lock_leave(&d->pool);
    }
}

void store_give_chain(struct dict *d, uint32_t first)
{
    if (!first)
        return;
    uint32_t n = 1, last = first;
    for (; *block_next(d, last); n++)
        last = *block_next(d, last);
    lock_take(&d->pool);
    *block_next(d, last) = d->free;
    d->free = first;
    lock_leave(&d->pool);
    atomic_fetch_sub(&d->used, n);
}

void store_give_all(struct dict *d, uint32_t doomed)
{
    while (doomed) {
        uint32_t next = entry_at(d, doomed)->chain;
        store_give_chain(d, doomed);
        doomed = next;
    }
}

/* Blocks in hand are kept while others are made room for, so that a large entry gets there between many small ones.
 * When nothing is left to give way, others have the rest in hand: what we have may be what they wait for. */
uint32_t store_reserve(struct dict *d, uint32_t n, double now_s)
{
    uint32_t first = 0;
    for (uint32_t have = 0; have < n;) {
        uint32_t got = pool_promise(d, n - have);
        pool_take(d, got, &first);
        have += got;
        bool fits = n <= atomic_load_explicit(&d->limit, memory_order_relaxed);
        if (have == n || (fits && store_make_room(d, now_s)))
            continue;
        store_give_chain(d, first);
        first = have = 0;
        if (!fits)
            break;
        sched_yield();
    }
    return first;
}

/* -- shards -- */

struct place place_of(struct dict *d, const struct dict_key *key)
{
    struct siphash_key seed = { d->seed.a ^ key->scope, d->seed.b };
    uint64_t hash = siphash(seed, key->text);
    return (struct place){ &d->shards[hash >> (64 - SHARD_BITS)], (uint32_t)hash, key };
}

static void tell_oldest(const struct dict *d, struct shard *s)
{
    uint64_t oldest = s->oldest ? entry_at(d, s->oldest)->used_ms : NO_ENTRY;
    atomic_store_explicit(&s->oldest_ms, oldest, memory_order_relaxed);
}

static void unlink_use(struct dict *d, struct shard *s, const struct entry *e)
{
    *(e->newer ? &entry_at(d, e->newer)->older : &s->newest) = e->older;
    *(e->older ? &entry_at(d, e->older)->newer : &s->oldest) = e->newer;
}

static void link_use(struct dict *d, struct shard *s, uint32_t entry, uint32_t used_ms)
{
    struct entry *e = entry_at(d, entry);
    e->used_ms = used_ms;
    e->newer = 0;
    e->older = s->newest;
    *(s->newest ? &entry_at(d, s->newest)->newer : &s->oldest) = entry;
    s->newest = entry;
}

static uint32_t ms_of(double now_s) { return (uint32_t)(uint64_t)(now_s * 1000); }

void shard_touch(struct dict *d, struct shard *s, uint32_t entry, double now_s)
{
    struct entry *e = entry_at(d, entry);
    uint32_t now_ms = ms_of(now_s);
    if (e->used_ms == now_ms)
        return;
    unlink_use(d, s, e);
    link_use(d, s, entry, now_ms);
    tell_oldest(d, s);
}

void shard_set_expiry(struct shard *s, struct entry *e, double expires_s)
{
    e->expires_s = expires_s;
    if (expires_s < s->seen_s)
        s->seen_s = expires_s;
    if (expires_s < atomic_load_explicit(&s->due_s, memory_order_relaxed))
        atomic_store_explicit(&s->due_s, expires_s, memory_order_relaxed);
}

void shard_link(struct dict *d, const struct place *p, uint32_t entry, double now_s)
{
    struct shard *s = p->shard;
    struct entry *e = entry_at(d, entry);
    uint32_t *bucket = &s->buckets[p->hash & s->mask];
    e->hash = p->hash;
    e->chain = *bucket;
    *bucket = entry;
    s->count++;
    link_use(d, s, entry, ms_of(now_s));
    shard_set_expiry(s, e, e->expires_s);
    tell_oldest(d, s);
}

void shard_remove(struct dict *d, struct shard *s, uint32_t *link, uint32_t *doomed)
{
    uint32_t entry = *link;
    struct entry *e = entry_at(d, entry);
    *link = e->chain;
    unlink_use(d, s, e);
    s->count--;
    tell_oldest(d, s);
    e->chain = *doomed;
    *doomed = entry;
}

uint32_t *shard_find(struct dict *d, const struct place *p, double now_s, uint32_t *doomed)
{
    const struct dict_key *key = p->key;
    struct entry *e;
    for (uint32_t *link = &p->shard->buckets[p->hash & p->shard->mask]; *link; link = &e->chain) {
        e = entry_at(d, *link);
        if (e->hash != p->hash || e->scope != key->scope || e->key_len != key->text.len || !key_is(d, *link, key->text))
            continue;
        if (e->expires_s > now_s)
            return link;
        p->shard->expired++;
        shard_remove(d, p->shard, link, doomed);
        return NULL;
    }
    return NULL;
}

/* -- room -- */

/* Looks through some buckets for entries that have expired; true when there were some. After a turn through all of them
 * it is known again when the next one is due. */
static bool sweep(struct dict *d, struct shard *s, double now_s)
{
    uint32_t doomed = 0;
    lock_take(&s->lock);
    if (s->hand == 0)
        s->seen_s = INFINITY;
    for (int i = 0; i < SWEEP_BUCKETS && !(i && s->hand == 0); i++) {
        for (uint32_t *link = &s->buckets[s->hand]; *link;) {
            struct entry *e = entry_at(d, *link);
            if (e->expires_s > now_s) {
                s->seen_s = fmin(s->seen_s, e->expires_s);
                link = &e->chain;
            } else {
                s->expired++;
                shard_remove(d, s, link, &doomed);
            }
        }
        s->hand = (s->hand + 1) & s->mask;
    }
    if (s->hand == 0)
        atomic_store_explicit(&s->due_s, s->seen_s, memory_order_relaxed);
    lock_leave(&s->lock);
    store_give(d, doomed);
    return doomed != 0;
}

bool store_drop_oldest(struct dict *d, struct shard *s, bool evicted)
{
    uint32_t doomed = 0;
    lock_take(&s->lock);
    if (s->oldest) {
        uint32_t *link = &s->buckets[entry_at(d, s->oldest)->hash & s->mask];
        while (*link != s->oldest)
            link = &entry_at(d, *link)->chain;
        s->evictions += evicted;
        shard_remove(d, s, link, &doomed);
    }
    lock_leave(&s->lock);
    store_give(d, doomed);
    return doomed != 0;
}

/* The oldest is told by what shards say of theirs without being locked. Milliseconds may wrap. */
bool store_make_room(struct dict *d, double now_s)
{
    struct shard *due = NULL, *oldest = NULL;
    uint32_t oldest_ms = 0, turn = atomic_fetch_add_explicit(&d->turn, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *s = &d->shards[(turn + i) % SHARDS];
        if (!due && atomic_load_explicit(&s->due_s, memory_order_relaxed) <= now_s)
            due = s;
        uint64_t ms = atomic_load_explicit(&s->oldest_ms, memory_order_relaxed);
        if (ms != NO_ENTRY && (!oldest || (int32_t)((uint32_t)ms - oldest_ms) < 0)) {
            oldest = s;
            oldest_ms = (uint32_t)ms;
        }
    }
    if (due && sweep(d, due, now_s))
        return true;
    if (oldest)
        (void)store_drop_oldest(d, oldest, true);   /* false: another thread has emptied it, and made room */
    return oldest != NULL;
}

/* -- a change in place -- */

static inline enum dict_answer change_entry(struct dict *d, struct shard *s, uint32_t entry, bool fresh, double now_s,
                                            entry_change_fn *change, void *how)
{
    struct entry *e = entry_at(d, entry);
    double expires_s = e->expires_s;
    enum dict_answer answer = change(e, fresh, now_s, &expires_s, how);
    if (expires_s != e->expires_s)
        shard_set_expiry(s, e, expires_s);
    shard_touch(d, s, entry, now_s);
    return answer;
}

enum dict_answer store_change(struct dict *d, const struct dict_key *key, enum dict_kind kind, double now_s,
                              entry_change_fn *change, void *how)
{
    if (key->text.len > dict_key_limit(d))
        return DICT_KEY_LIMIT;
    struct place p = place_of(d, key);
    for (uint32_t spare = 0;;) {
        uint32_t doomed = 0, entry = 0;
        enum dict_answer answer = DICT_WRONG_KIND;
        lock_take(&p.shard->lock);
        const uint32_t *link = shard_find(d, &p, now_s, &doomed);
        if (link) {
            entry = *link;
            if (entry_at(d, entry)->kind == kind)
                answer = change_entry(d, p.shard, entry, false, now_s, change, how);
        } else if (spare) {
            entry = spare;
            spare = 0;
            shard_link(d, &p, entry, now_s);
            answer = change_entry(d, p.shard, entry, true, now_s, change, how);
        }
        lock_leave(&p.shard->lock);
        store_give(d, doomed);
        if (entry) {
            store_give_chain(d, spare);     /* another thread was faster to make it */
            return answer;
        }
        spare = store_reserve(d, blocks_for(key->text.len), now_s);
        if (!spare)
            return DICT_KEY_LIMIT;
        entry_fill(d, spare, key, &(struct dict_value){ .kind = kind }, INFINITY);
    }
}

/* -- all entries -- */

/* The cursor is the shard and the bucket to go on with. A table that grows meanwhile keeps the order of what has not
 * been visited: the bucket of an entry moves up by the old number of buckets, or stays. */
bool store_walk(struct dict *d, uint64_t *cursor, double now_s, entry_visit_fn *visit, void *who)
{
    uint64_t shard = *cursor >> 32, bucket = (uint32_t)*cursor;
    if (shard >= SHARDS)
        return false;
    struct shard *s = &d->shards[shard];
    lock_take(&s->lock);
    for (uint64_t end = bucket + WALK_BUCKETS; bucket <= s->mask && bucket < end; bucket++)
        for (uint32_t entry = s->buckets[bucket]; entry; entry = entry_at(d, entry)->chain)
            if (entry_at(d, entry)->expires_s > now_s)
                visit(who, d, entry);
    *cursor = bucket <= s->mask ? shard << 32 | bucket : (shard + 1) << 32;
    lock_leave(&s->lock);
    return true;
}
