#pragma once
/* labels: numbers for tuples of words, the same over the life of the process: what is counted under a label is found
 * again after a reload. From any thread; a lock is held as long as a look-up takes. */
#include <pthread.h>
#include <stdbool.h>

#include "base/map.h"

enum { LABEL_WORDS = 4 };

struct label { struct slice words[LABEL_WORDS]; };      /* unused ones at the end are empty; each ends with a NUL */

struct labels {                         /* LABELS_EMPTY to begin with */
    pthread_mutex_t lock;
    struct map numbers;
    struct label_entry **entries;       /* by number; [0] is NULL */
    uint32_t count, cap, most;
};

#define LABELS_EMPTY(limit) { .lock = PTHREAD_MUTEX_INITIALIZER, .most = (limit) }

/* The number of a label, from 1 on; 0 when there are too many. The words are copied. */
uint32_t labels_number(struct labels *l, const struct label *label);
/* Numbers are below it. */
uint32_t labels_count(struct labels *l);
/* False where there is none of that number. What *out points to lives as long as the process. */
bool labels_get(struct labels *l, uint32_t number, struct label *out);
/* Frees all, at the end of the process. */
void labels_forget(struct labels *l);
