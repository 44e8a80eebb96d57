/* api_shared: the calls of api.h about shared dictionaries. */
#include <stdio.h>
#include <time.h>

#include "base/dict_limit.h"
#include "base/dict_registry.h"
#include "base/dict_snapshot.h"
#include "base/siphash.h"
#include "lua/api.h"

_Static_assert(TIDE_DICT_ABSENT == -DICT_ABSENT && TIDE_DICT_EXISTS == -DICT_EXISTS &&
                   TIDE_DICT_WRONG_KIND == -DICT_WRONG_KIND && TIDE_DICT_KEY_LIMIT == -DICT_KEY_LIMIT &&
                   TIDE_DICT_VALUE_LIMIT == -DICT_VALUE_LIMIT,
               "an answer is its code below 0");
_Static_assert((int)TIDE_DICT_STRING == DICT_STRING && (int)TIDE_DICT_NUMBER == DICT_NUMBER &&
                   (int)TIDE_DICT_BOOLEAN == DICT_BOOLEAN,
               "kinds are the same");
_Static_assert((int)TIDE_DICT_SET == DICT_SET && (int)TIDE_DICT_ADD == DICT_ADD &&
                   (int)TIDE_DICT_REPLACE == DICT_REPLACE,
               "modes are the same");

static struct dict_key key_of(uint64_t scope, const char *key, size_t len)
{
    return (struct dict_key){ slice_make(key, len), scope };
}

/* A number of Lua's as a number of bytes; 0 where it is none. */
static size_t bytes_of(double bytes) { return bytes >= 1 && bytes <= (double)DICT_BYTES_MAX ? (size_t)bytes : 0; }

static void tell(enum rc rc, const char *name, size_t len, double bytes, struct tide_error *e)
{
    if (rc == RC_MALFORMED)
        snprintf(e->text, sizeof e->text,
                 "dictionary name: expected 1 to %d printable characters without spaces, found %zu bytes",
                 DICT_NAME_MAX, len);
    else if (rc == RC_FULL)
        snprintf(e->text, sizeof e->text, "dictionary \"%.*s\": there are %d already, which is the most there may be",
                 (int)len, name, DICTS_MAX);
    else
        snprintf(e->text, sizeof e->text,
                 "dictionary \"%.*s\": expected a size from %zu bytes to %zu that there is memory for, found %.0f",
                 (int)len, name, DICT_BYTES_MIN, DICT_BYTES_MAX, bytes);
}

struct dict *tide_dict_use(const char *name, size_t len, double bytes, struct tide_error *e)
{
    struct dict *d = NULL;
    enum rc rc = bytes != 0 && !bytes_of(bytes) ? RC_LIMIT : registry_use(slice_make(name, len), bytes_of(bytes), &d);
    if (rc != RC_OK)
        tell(rc, name, len, bytes, e);
    return d;
}

struct dict *tide_dict_open(const char *name, size_t len, double bytes, struct tide_error *e)
{
    struct dict *d = NULL;
    enum rc rc = registry_configure(slice_make(name, len), bytes_of(bytes), tide_monotonic(), &d);
    if (rc != RC_OK)
        tell(rc, name, len, bytes, e);
    return d;
}

int tide_dict_retire(const char *name, size_t len)
{
    return registry_retire(slice_make(name, len), tide_monotonic()) ? 0 : -1;
}

struct dict *tide_dict_at(uint32_t index, struct slice *name, bool *opened)
{
    struct dict_listed listed;
    if (!registry_at(index, &listed))
        return NULL;
    *name = listed.name;
    *opened = listed.configured;
    return listed.dict;
}

/* The key of this hash is not secret: two names that were made to collide do harm only to who chose them. */
uint64_t tide_dict_scope(const char *name, size_t len)
{
    uint64_t scope = siphash((struct siphash_key){ 0, 0 }, slice_make(name, len));
    return scope ? scope : 1;
}

double tide_dict_key_limit(struct dict *d) { return (double)dict_key_limit(d); }
double tide_dict_value_limit(struct dict *d) { return (double)dict_value_limit(d); }

int tide_dict_get(struct dict *d, uint64_t scope, const char *key, size_t len, double now_s,
                  struct tide_dict_value *out)
{
    struct dict_key k = key_of(scope, key, len);
    struct dict_value value;
    enum dict_answer answer = dict_get(d, &k, now_s, &value, &out->left);
    if (answer != DICT_DONE)
        return -(int)answer;
    out->at = value.text.at;
    out->len = value.text.len;
    out->number = value.number;
    return (int)value.kind;
}

int tide_dict_put_string(struct dict *d, uint64_t scope, const char *key, size_t len, const char *value,
                         size_t value_len, double ttl, double now_s, int mode)
{
    struct dict_key k = key_of(scope, key, len);
    struct dict_value v = { .kind = DICT_STRING, .text = slice_make(value, value_len) };
    return -(int)dict_put(d, &k, &v, ttl, now_s, (enum dict_mode)mode);
}

int tide_dict_put_number(struct dict *d, uint64_t scope, const char *key, size_t len, int kind, double value,
                         double ttl, double now_s, int mode)
{
    struct dict_key k = key_of(scope, key, len);
    struct dict_value v = { .kind = (enum dict_kind)kind, .number = value };
    return -(int)dict_put(d, &k, &v, ttl, now_s, (enum dict_mode)mode);
}

int tide_dict_incr(struct dict *d, uint64_t scope, const char *key, size_t len, double by, double init, double ttl,
                   double now_s, double *sum)
{
    struct dict_key k = key_of(scope, key, len);
    return -(int)dict_incr(d, &k, by, init, ttl, now_s, sum);
}

double tide_dict_left(struct dict *d, uint64_t scope, const char *key, size_t len, double now_s)
{
    struct dict_key k = key_of(scope, key, len);
    double left_s;
    return dict_left(d, &k, now_s, &left_s) == DICT_DONE ? left_s : -1;
}

int tide_dict_expire(struct dict *d, uint64_t scope, const char *key, size_t len, double ttl, double now_s)
{
    struct dict_key k = key_of(scope, key, len);
    return -(int)dict_expire(d, &k, ttl, now_s);
}

int tide_dict_delete(struct dict *d, uint64_t scope, const char *key, size_t len, double now_s)
{
    struct dict_key k = key_of(scope, key, len);
    return -(int)dict_delete(d, &k, now_s);
}

int tide_dict_keys(struct dict *d, uint64_t *cursor, double now_s, struct slice *keys)
{
    return dict_keys(d, cursor, now_s, keys);
}

void tide_dict_flush(struct dict *d) { dict_flush(d); }

void tide_dict_stats_read(struct dict *d, struct tide_dict_stats *out)
{
    struct dict_stats s;
    dict_stats_read(d, &s);
    *out = (struct tide_dict_stats){
        (double)s.bytes, (double)s.bytes_used, (double)s.entries,
        (double)s.hits, (double)s.misses, (double)s.evictions, (double)s.expired,
    };
}

/* -- limiters -- */

static int taken(enum dict_answer answer, const struct dict_taken *t, struct tide_dict_taken *out)
{
    if (answer != DICT_DONE)
        return -(int)answer;
    *out = (struct tide_dict_taken){ t->remaining, t->retry_after_s, t->reset_s };
    return t->allowed;
}

int tide_dict_bucket(struct dict *d, uint64_t scope, const char *key, size_t len, double rate, double burst,
                     double cost, double now_s, struct tide_dict_taken *out)
{
    struct dict_key k = key_of(scope, key, len);
    struct dict_bucket bucket = { rate, burst };
    struct dict_taken t;
    enum dict_answer answer = dict_bucket_take(d, &k, &bucket, cost, now_s, &t);
    return taken(answer, &t, out);
}

int tide_dict_window(struct dict *d, uint64_t scope, const char *key, size_t len, double limit, double window_s,
                     int sliding, double cost, double now_s, struct tide_dict_taken *out)
{
    struct dict_key k = key_of(scope, key, len);
    struct dict_window window = { limit, window_s, sliding != 0 };
    struct dict_taken t;
    enum dict_answer answer = dict_window_take(d, &k, &window, cost, now_s, &t);
    return taken(answer, &t, out);
}

/* -- snapshots -- */

static double refuse(const char *path, const struct dict_trouble *trouble, struct tide_error *e)
{
    snprintf(e->text, sizeof e->text, "%.250s: %s", path, trouble->text);
    return -1;
}

static struct dict_clocks clocks(void) { return (struct dict_clocks){ tide_monotonic(), tide_now() }; }

double tide_dict_save(struct dict *d, const char *path, struct tide_error *e)
{
    struct dict_trouble trouble;
    uint64_t entries = 0;
    if (dict_save(d, path, clocks(), &entries, &trouble) != RC_OK)
        return refuse(path, &trouble, e);
    return (double)entries;
}

double tide_dict_load(struct dict *d, const char *path, struct tide_error *e)
{
    struct dict_trouble trouble;
    uint64_t entries = 0;
    enum rc rc = dict_load(d, path, clocks(), &entries, &trouble);
    if (rc == RC_OK || rc == RC_EOF)
        return (double)entries;
    return refuse(path, &trouble, e);
}
