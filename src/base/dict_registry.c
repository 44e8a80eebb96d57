#include "base/dict_registry.h"

#include <pthread.h>

struct registered {
    char name[DICT_NAME_MAX];
    size_t len;
    struct dict *dict;
    bool configured;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registered dicts[DICTS_MAX];
static uint32_t count;

static bool name_is_good(struct slice name)
{
    if (name.len == 0 || name.len > DICT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] > '~')
            return false;
    return true;
}

static struct registered *find(struct slice name)
{
    for (uint32_t i = 0; i < count; i++)
        if (slice_equal(slice_make(dicts[i].name, dicts[i].len), name))
            return &dicts[i];
    return NULL;
}

static enum rc find_or_make(struct slice name, size_t bytes, struct registered **out)
{
    *out = find(name);
    if (*out)
        return RC_OK;
    if (!name_is_good(name))
        return RC_MALFORMED;
    if (count == DICTS_MAX)
        return RC_FULL;
    struct registered *r = &dicts[count];
    r->dict = dict_new(bytes ? bytes : DICT_BYTES_DEFAULT);
    if (!r->dict)
        return RC_LIMIT;
    memcpy(r->name, name.at, name.len);
    r->len = name.len;
    count++;
    *out = r;
    return RC_OK;
}

enum rc registry_use(struct slice name, size_t bytes, struct dict **out)
{
    struct registered *r;
    pthread_mutex_lock(&lock);
    enum rc rc = find_or_make(name, bytes, &r);
    if (rc == RC_OK)
        *out = r->dict;
    pthread_mutex_unlock(&lock);
    return rc;
}

enum rc registry_configure(struct slice name, size_t bytes, double now_s, struct dict **out)
{
    struct registered *r;
    if (bytes < DICT_BYTES_MIN || bytes > DICT_BYTES_MAX)
        return RC_LIMIT;
    pthread_mutex_lock(&lock);
    enum rc rc = find_or_make(name, bytes, &r);
    if (rc == RC_OK)
        rc = dict_resize(r->dict, bytes, now_s);
    if (rc == RC_OK) {
        r->configured = true;
        *out = r->dict;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

bool registry_retire(struct slice name, double now_s)
{
    pthread_mutex_lock(&lock);
    struct registered *r = find(name);
    bool found = r && r->configured;
    if (found) {
        r->configured = false;
        dict_flush(r->dict);
        (void)dict_resize(r->dict, DICT_BYTES_DEFAULT, now_s);      /* no memory to grow: it keeps its size */
    }
    pthread_mutex_unlock(&lock);
    return found;
}

bool registry_at(uint32_t index, struct dict_listed *out)
{
    pthread_mutex_lock(&lock);
    bool found = index < count;
    if (found) {
        const struct registered *r = &dicts[index];
        *out = (struct dict_listed){ r->dict, slice_make(r->name, r->len), r->configured };
    }
    pthread_mutex_unlock(&lock);
    return found;
}
