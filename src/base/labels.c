#include "base/labels.h"

#include <stdlib.h>

struct label_entry { uint32_t number; struct label label; size_t len; char key[]; };

/* The words with a NUL behind each are the key, and what the label points into. */
static struct label_entry *entry_of(const struct label *l)
{
    size_t len = LABEL_WORDS;
    for (int i = 0; i < LABEL_WORDS; i++)
        len += l->words[i].len;
    struct label_entry *e = malloc(sizeof *e + len);
    if (!e)
        abort();
    char *at = e->key;
    for (int i = 0; i < LABEL_WORDS; i++) {
        struct slice word = l->words[i];
        if (word.len)
            memcpy(at, word.at, word.len);
        at[word.len] = 0;
        e->label.words[i] = slice_make(at, word.len);
        at += word.len + 1;
    }
    e->len = len;
    return e;
}

static void append(struct labels *l, struct label_entry *e)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->entries = realloc(l->entries, l->cap * sizeof *l->entries);
        if (!l->entries)
            abort();
    }
    if (l->count == 0)
        l->entries[l->count++] = NULL;
    e->number = l->count;
    l->entries[l->count++] = e;
    map_put(&l->numbers, slice_make(e->key, e->len), e);
}

uint32_t labels_number(struct labels *l, const struct label *label)
{
    struct label_entry *mine = entry_of(label);
    pthread_mutex_lock(&l->lock);
    const struct label_entry *e = map_get(&l->numbers, slice_make(mine->key, mine->len));
    bool is_new = !e && l->count < l->most;
    if (is_new) {
        append(l, mine);
        e = mine;
    }
    uint32_t number = e ? e->number : 0;
    pthread_mutex_unlock(&l->lock);
    if (!is_new)
        free(mine);
    return number;
}

uint32_t labels_count(struct labels *l)
{
    pthread_mutex_lock(&l->lock);
    uint32_t n = l->count;
    pthread_mutex_unlock(&l->lock);
    return n;
}

bool labels_get(struct labels *l, uint32_t number, struct label *out)
{
    pthread_mutex_lock(&l->lock);
    bool is_known = number > 0 && number < l->count;
    if (is_known)
        *out = l->entries[number]->label;
    pthread_mutex_unlock(&l->lock);
    return is_known;
}

void labels_forget(struct labels *l)
{
    for (uint32_t i = 1; i < l->count; i++)
        free(l->entries[i]);
    free(l->entries);
    map_free(&l->numbers);
    l->entries = NULL;
    l->count = l->cap = 0;
}
