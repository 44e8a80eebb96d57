#include "base/regex_set.h"

#include <stdlib.h>

#include "base/regex_literals.h"

enum { GRAM = 4 };

struct draft { struct regex_item item; struct regex_literals literals; uint32_t bucket; };

struct regex_set {
    struct regex_item *items;           /* by rank */
    struct draft *drafts;               /* until regex_set_seal */
    char *text;                         /* of the runs */
    uint64_t *occupied;                 /* bit per bucket that has items */
    uint32_t *starts;                   /* by bucket: where its items begin in list; one more: where the last ends */
    uint32_t *list;                     /* places of items; behind those of the buckets all that are in none */
    size_t text_bytes;
    uint32_t count, cap, mask;          /* mask: number of buckets - 1 */
};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

struct regex_set *regex_set_new(void) { return need(calloc(1, sizeof(struct regex_set))); }

void regex_set_free(struct regex_set *s)
{
    if (!s)
        return;
    free(s->items);
    free(s->drafts);
    free(s->text);
    free(s->occupied);
    free(s->starts);
    free(s->list);
    free(s);
}

void regex_set_add(struct regex_set *s, const struct regex *regex, struct slice pattern, unsigned flags, uint32_t rank,
                   uint32_t value)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->drafts = need(realloc(s->drafts, s->cap * sizeof *s->drafts));
    }
    struct draft *d = &s->drafts[s->count++];
    d->item = (struct regex_item){ .regex = regex, .rank = rank, .value = value };
    regex_literals_find(pattern, flags, &d->literals);
}

/* -- building -- */

static uint32_t load_gram(const char *at)
{
    uint32_t gram;
    memcpy(&gram, at, GRAM);
    return gram;
}

static uint32_t bucket_of(const struct regex_set *s, const char *at)
{
    return load_gram(at) * 0x9e3779b1u >> 16 & s->mask;
}

static uint64_t byte_bits(struct slice s)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < s.len; i++)
        bits |= (uint64_t)1 << (s.at[i] & 63);
    return bits;
}

static void count_grams(const struct regex_set *s, const struct draft *d, uint32_t *counts)
{
    for (uint32_t i = 0; i < d->literals.count; i++) {
        struct slice run = regex_literal(&d->literals, i);
        for (size_t k = 0; k + GRAM <= run.len; k++)
            counts[bucket_of(s, run.at + k)]++;
    }
}

/* The run that an item is known by is the one that holds the four bytes that fewest others hold. Without any run of
 * four: the longest. */
static void choose(struct regex_set *s, struct draft *d, const uint32_t *counts)
{
    uint32_t fewest = UINT32_MAX, chosen = 0;
    d->bucket = UINT32_MAX;
    for (uint32_t i = 0; i < d->literals.count; i++) {
        struct slice run = regex_literal(&d->literals, i);
        d->item.bytes |= byte_bits(run);
        if (fewest == UINT32_MAX && run.len > d->literals.runs[chosen].len)
            chosen = i;
        for (size_t k = 0; k + GRAM <= run.len; k++) {
            uint32_t bucket = bucket_of(s, run.at + k);
            if (counts[bucket] < fewest) {
                fewest = counts[bucket];
                d->bucket = bucket;
                chosen = i;
            }
        }
    }
    if (!d->literals.count)
        return;
    d->item.is_prefix = d->literals.is_prefix && chosen == 0;
    struct slice run = regex_literal(&d->literals, chosen);
    memcpy(s->text + s->text_bytes, run.at, run.len);
    d->item.run = slice_make(s->text + s->text_bytes, run.len);
    s->text_bytes += run.len;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = ((const struct draft *)a)->item.rank, right = ((const struct draft *)b)->item.rank;
    return left < right ? -1 : left > right;
}

static void fill_buckets(struct regex_set *s, uint32_t *counts)
{
    memset(counts, 0, (s->mask + 1) * sizeof *counts);
    uint32_t in_buckets = 0, loose = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->drafts[i].bucket != UINT32_MAX)
            counts[s->drafts[i].bucket]++;
    for (uint32_t b = 0; b <= s->mask; b++) {
        s->starts[b] = in_buckets;
        in_buckets += counts[b];
        if (counts[b])
            s->occupied[b / 64] |= (uint64_t)1 << b % 64;
        counts[b] = s->starts[b];
    }
    s->starts[s->mask + 1] = in_buckets;
    for (uint32_t i = 0; i < s->count; i++) {           /* in the order of ranks, as each list is then */
        uint32_t bucket = s->drafts[i].bucket;
        s->list[bucket != UINT32_MAX ? counts[bucket]++ : in_buckets + loose++] = i;
        s->items[i] = s->drafts[i].item;
    }
}

void regex_set_seal(struct regex_set *s)
{
    uint32_t buckets = 64;
    while (buckets < REGEX_BUCKETS_MAX && buckets < 4 * s->count)
        buckets *= 2;
    s->mask = buckets - 1;
    s->occupied = need(calloc(buckets / 64, sizeof *s->occupied));
    s->starts = need(calloc(buckets + 1, sizeof *s->starts));
    s->list = need(calloc(s->count + 1, sizeof *s->list));
    s->items = need(calloc(s->count + 1, sizeof *s->items));
    uint32_t *counts = need(calloc(buckets, sizeof *counts));
    size_t most = 1;
    for (uint32_t i = 0; i < s->count; i++) {
        count_grams(s, &s->drafts[i], counts);
        most += s->drafts[i].literals.bytes;
    }
    s->text = need(malloc(most));
    if (s->count)
        qsort(s->drafts, s->count, sizeof *s->drafts, compare);
    for (uint32_t i = 0; i < s->count; i++)
        choose(s, &s->drafts[i], counts);
    fill_buckets(s, counts);
    free(counts);
    free(s->drafts);
    s->drafts = NULL;
}

size_t regex_set_bytes(const struct regex_set *s)
{
    size_t buckets = (size_t)s->mask + 1;
    return sizeof *s + (s->count + 1) * (sizeof *s->items + sizeof *s->list) + s->text_bytes +
           buckets / 64 * sizeof *s->occupied + (buckets + 1) * sizeof *s->starts;
}

/* -- scanning -- */

void regex_scan_begin(struct regex_scan *scan, const struct regex_set *s, struct slice subject)
{
    scan->set = s;
    scan->subject = subject;
    scan->bytes = byte_bits(subject);
    scan->at = 0;
    scan->next = scan->end = 0;
    scan->is_last = false;
    memset(scan->seen, 0, (s->mask + 1) / 8);
}

/* Goes on to the next list: that of a bucket whose four bytes might be in the subject, in the end the loose ones. */
static bool next_list(struct regex_scan *scan)
{
    const struct regex_set *s = scan->set;
    if (scan->is_last)
        return false;
    for (; scan->at + GRAM <= scan->subject.len; scan->at++) {
        uint32_t bucket = bucket_of(s, scan->subject.at + scan->at);
        uint64_t bit = (uint64_t)1 << bucket % 64;
        if (!(s->occupied[bucket / 64] & ~scan->seen[bucket / 64] & bit))
            continue;
        scan->seen[bucket / 64] |= bit;
        scan->next = s->starts[bucket];
        scan->end = s->starts[bucket + 1];
        return true;
    }
    scan->is_last = true;
    scan->next = s->starts[s->mask + 1];
    scan->end = s->count;
    return true;
}

static bool may_match(const struct regex_scan *scan, const struct regex_item *item)
{
    if (item->bytes & ~scan->bytes)
        return false;
    if (item->is_prefix)
        return slice_has_prefix(scan->subject, item->run);
    return item->run.len < GRAM || memmem(scan->subject.at, scan->subject.len, item->run.at, item->run.len);
}

const struct regex_item *regex_scan_next(struct regex_scan *scan, uint32_t bound)
{
    for (;;) {
        while (scan->next == scan->end)
            if (!next_list(scan))
                return NULL;
        const struct regex_item *item = &scan->set->items[scan->set->list[scan->next++]];
        if (item->rank >= bound)
            scan->next = scan->end;     /* so are those behind it */
        else if (may_match(scan, item))
            return item;
    }
}
