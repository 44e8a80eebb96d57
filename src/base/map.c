#include "base/map.h"

#include <stdlib.h>

void map_free(struct map *m)
{
    free(m->entries);
    *m = (struct map){ 0 };
}

static struct map_entry *find(const struct map *m, struct slice key)
{
    uint32_t i = slice_hash(key) & (m->cap - 1);
    while (m->entries[i].value && !slice_equal(m->entries[i].key, key))
        i = (i + 1) & (m->cap - 1);
    return &m->entries[i];
}

void *map_get(const struct map *m, struct slice key) { return m->cap ? find(m, key)->value : NULL; }

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : 16;
    m->entries = calloc(m->cap, sizeof *m->entries);
    if (!m->entries)
        abort();
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.entries[i].value)
            *find(m, old.entries[i].key) = old.entries[i];
    free(old.entries);
}

void map_put(struct map *m, struct slice key, void *value)
{
    if ((m->count + 1) * 2 > m->cap)
        grow(m);
    struct map_entry *e = find(m, key);
    m->count += !e->value;
    *e = (struct map_entry){ key, value };
}

void *map_remove(struct map *m, struct slice key)
{
    if (!m->cap)
        return NULL;
    struct map_entry *e = find(m, key);
    void *value = e->value;
    if (!value)
        return NULL;
    e->value = NULL;
    m->count--;
    /* Entries behind the hole may have been pushed past it: put each of the run back where it belongs. */
    for (uint32_t i = (uint32_t)(e - m->entries + 1) & (m->cap - 1); m->entries[i].value; i = (i + 1) & (m->cap - 1)) {
        struct map_entry moved = m->entries[i];
        m->entries[i].value = NULL;
        *find(m, moved.key) = moved;
    }
    return value;
}
