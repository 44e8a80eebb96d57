#include "run/quarantine.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "lua/api.h"

struct known { uint64_t hash; char name[]; };

static struct { pthread_mutex_t lock; struct map by_name; } all = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* FNV-1a: it tells versions of one file apart, and guards against nobody. */
static uint64_t hash_of(const char *at, size_t len)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)at[i]) * 1099511628211u;
    return hash;
}

static void remember(const char *name, uint64_t hash)
{
    pthread_mutex_lock(&all.lock);
    struct known *k = map_get(&all.by_name, slice_text(name));
    if (!k) {
        size_t len = strlen(name) + 1;
        k = malloc(sizeof *k + len);
        if (!k)
            abort();
        memcpy(k->name, name, len);
        map_put(&all.by_name, slice_text(k->name), k);
    }
    k->hash = hash;
    pthread_mutex_unlock(&all.lock);
}

static void print(char *out, size_t size, const char *name, uint64_t hash)
{
    snprintf(out, size, "%s %016llx", name, (unsigned long long)hash);
}

bool quarantine_entry(const char *plugin, char *out, size_t size)
{
    pthread_mutex_lock(&all.lock);
    const struct known *k = map_get(&all.by_name, slice_text(plugin));
    if (k)
        print(out, size, k->name, k->hash);
    pthread_mutex_unlock(&all.lock);
    return k != NULL;
}

bool tide_plugin_quarantined(const char *name, const char *source, size_t len)
{
    char entry[256];
    uint64_t hash = hash_of(source, len);
    remember(name, hash);
    print(entry, sizeof entry, name, hash);
    const char *list = getenv(QUARANTINE_VARIABLE);
    size_t n = strlen(entry);
    for (const char *at = list; at && (at = strstr(at, entry)); at += n)
        if ((at == list || at[-1] == '\n') && (at[n] == '\n' || !at[n]))
            return true;
    return false;
}

void quarantine_forget(void)
{
    for (uint32_t i = 0; i < all.by_name.cap; i++)
        free(all.by_name.entries[i].value);
    map_free(&all.by_name);
}
