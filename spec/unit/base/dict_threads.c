/* Threads that do everything to one dictionary at once; built by dict_threads_spec.lua with the thread sanitizer. What
 * must hold is an assert. Arguments: threads, rounds of each. */
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/dict_limit.h"
#include "base/dict_registry.h"
#include "base/dict_snapshot.h"

enum { KEYS = 400, LARGE = 100000 };

static struct dict *d;
static int rounds, threads;
static _Atomic int left;

enum { TEXT = 32 };

/* text: TEXT bytes. */
static struct dict_key key_of(char *text, const char *prefix, unsigned n)
{
    int len = snprintf(text, TEXT, "%s%u", prefix, n);
    assert(len > 0 && len < TEXT);
    return (struct dict_key){ slice_make(text, (size_t)len), 0 };
}

/* A value is one letter, over and over: bytes of two writers would show. */
static void put_value(struct dict *dict, unsigned *seed, double now_s)
{
    char text[32], bytes[LARGE];
    int random = rand_r(seed);
    struct dict_key key = key_of(text, "value", (unsigned)random % KEYS);
    size_t len = random % 50 == 0 ? LARGE : (size_t)(random % 300);
    memset(bytes, 'a' + random % 26, len);
    struct dict_value value = { .kind = DICT_STRING, .text = { bytes, len } };
    enum dict_answer answer = dict_put(dict, &key, &value, random % 3 ? INFINITY : 0.01, now_s,
                                       (enum dict_mode)(random / 7 % 3));
    assert(answer <= DICT_EXISTS || (len == LARGE && answer == DICT_VALUE_LIMIT));   /* it may be small now */
}

static void get_value(struct dict *dict, unsigned *seed, double now_s)
{
    char text[32];
    struct dict_key key = key_of(text, "value", (unsigned)rand_r(seed) % KEYS);
    struct dict_value value;
    double left_s;
    if (dict_get(dict, &key, now_s, &value, &left_s) != DICT_DONE)
        return;
    assert(value.kind == DICT_STRING && value.text.len <= LARGE && left_s > 0);
    for (size_t i = 1; i < value.text.len; i++)
        assert(value.text.at[i] == value.text.at[0]);
}

static void walk(struct dict *dict, double now_s)
{
    struct slice keys;
    uint32_t len;
    for (uint64_t cursor = 0; dict_keys(dict, &cursor, now_s, &keys);)
        for (; keys.len; keys = slice_from(keys, sizeof len + len)) {
            memcpy(&len, keys.at, sizeof len);
            assert(len < 32 && keys.len >= sizeof len + len);
        }
}

/* Each of 16 counters gets one from every thread in every round; no entry of theirs may be lost, so they are in a
 * dictionary that has room for all. */
static void count(struct dict *counters, unsigned n)
{
    char text[32];
    double sum;
    struct dict_key key = key_of(text, "count", n % 16);
    assert(dict_incr(counters, &key, 1, 0, INFINITY, 1, &sum) == DICT_DONE);
    struct dict_taken taken;
    struct dict_bucket bucket = { 1e-9, 1000 };
    key.scope = 1;
    assert(dict_bucket_take(counters, &key, &bucket, 1, 1, &taken) == DICT_DONE);
    if (!taken.allowed)
        return;
    key = key_of(text, "allowed", n % 16);
    assert(dict_incr(counters, &key, 1, 0, INFINITY, 1, &sum) == DICT_DONE);
}

static void *work(void *counters)
{
    unsigned seed = (unsigned)(uintptr_t)pthread_self();
    for (int i = 0; i < rounds; i++) {
        double now_s = 1 + i * 1e-4;
        put_value(d, &seed, now_s);
        get_value(d, &seed, now_s);
        count(counters, (unsigned)i);
        if (i % 500 == 0) {
            char text[32];
            struct dict *named;
            struct slice name = key_of(text, "named", (unsigned)i / 500 % 100).text;
            assert(registry_use(name, DICT_BYTES_MIN, &named) == RC_OK);
            walk(d, now_s);
        }
    }
    left--;
    return NULL;
}

/* What the control thread does meanwhile. */
static void control(const char *path)
{
    for (int i = 0; left > 0; i++) {
        struct dict_clocks at = { 1, 1e9 };
        struct dict_trouble trouble;
        struct dict_stats stats;
        uint64_t entries;
        assert(dict_resize(d, DICT_BYTES_MIN << (i % 4), 1) == RC_OK);
        assert(dict_save(d, path, at, &entries, &trouble) == RC_OK);
        assert(dict_load(d, path, at, &entries, &trouble) == RC_OK);
        if (i % 10 == 0)
            dict_flush(d);
        dict_stats_read(d, &stats);
        /* While others put in, a shrunk dictionary may have more for a moment. */
        assert(stats.bytes_used <= DICT_BYTES_MIN << 3);
    }
}

static double number_at(struct dict *dict, const char *prefix, unsigned n)
{
    char text[32];
    struct dict_key key = key_of(text, prefix, n);
    struct dict_value value;
    double left_s;
    assert(dict_get(dict, &key, 1, &value, &left_s) == DICT_DONE && value.kind == DICT_NUMBER);
    return value.number;
}

int main(int argc, char **argv)
{
    assert(argc == 4);
    left = threads = (int)strtol(argv[1], NULL, 10);
    rounds = (int)strtol(argv[2], NULL, 10);
    d = dict_new(DICT_BYTES_MIN);
    struct dict *counters = dict_new(1 << 20);
    pthread_t ids[64];
    assert(d && counters && threads <= 64);
    for (int i = 0; i < threads; i++)
        assert(pthread_create(&ids[i], NULL, work, counters) == 0);
    control(argv[3]);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);

    struct dict_stats stats;
    double sum = 0;
    for (unsigned i = 0; i < 16; i++) {
        sum += number_at(counters, "count", i);
        double tries = (double)threads * ((rounds + 15 - (int)i) / 16);
        assert(number_at(counters, "allowed", i) == (tries < 1000 ? tries : 1000));
    }
    assert(sum == (double)threads * rounds);
    dict_flush(d);
    dict_stats_read(d, &stats);
    assert(stats.entries == 0 && stats.bytes_used == 0);
    dict_free(d);
    dict_free(counters);
    puts("good");
    return 0;
}
