#pragma once
/* map: hash table from a slice to a pointer. Keys are views: they must outlive their entry. Not for the hot path's
 * per-request work; the router and the header table have their own. */
#include "base/slice.h"

struct map_entry { struct slice key; void *value; };

struct map {                    /* all zero is empty */
    struct map_entry *entries;  /* open addressing; value NULL: free */
    uint32_t cap, count;
};

void map_free(struct map *m);
/* NULL when there is none. */
void *map_get(const struct map *m, struct slice key);
/* The value must not be NULL; an entry of the same key is replaced. */
void map_put(struct map *m, struct slice key, void *value);
/* Gives what was there, or NULL. */
void *map_remove(struct map *m, struct slice key);
