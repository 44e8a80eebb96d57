#pragma once
/* regex_set: many regular expressions over the same subjects, of which few need to be run. Each is found by four bytes
 * that all its matches hold (regex_literals), looked up in an index of all; patterns without such bytes are told apart
 * by what single bytes they need, and else always given. Built once, then immutable and shared by threads. */
#include "base/regex.h"

struct regex_item {
    const struct regex *regex;
    struct slice run;                   /* bytes that a subject holds, or begins with; may be empty */
    uint64_t bytes;                     /* bit per byte that it must hold: its number modulo 64 */
    uint32_t rank, value;               /* the caller's; the lower the rank, the earlier it is given */
    bool is_prefix;
};

struct regex_set;

struct regex_set *regex_set_new(void);
void regex_set_free(struct regex_set *s);
/* regex is the compiled pattern, compiled with these flags, and outlives the set. */
void regex_set_add(struct regex_set *s, const struct regex *regex, struct slice pattern, unsigned flags, uint32_t rank,
                   uint32_t value);
/* After the last regex_set_add. */
void regex_set_seal(struct regex_set *s);
size_t regex_set_bytes(const struct regex_set *s);

enum { REGEX_BUCKETS_MAX = 4096 };

struct regex_scan {                     /* private to regex_set.c */
    const struct regex_set *set;
    struct slice subject;
    uint64_t bytes;                     /* that the subject holds */
    size_t at;
    uint32_t next, end;                 /* of the list in hand */
    bool is_last;                       /* ... which is that of the patterns that have no four bytes */
    uint64_t seen[REGEX_BUCKETS_MAX / 64];
};

/* Begins to look for what might match a subject, which outlives the scan. */
void regex_scan_begin(struct regex_scan *scan, const struct regex_set *s, struct slice subject);
/* The next item that might match and whose rank is below `bound`, each once, in no order; NULL: no more. */
const struct regex_item *regex_scan_next(struct regex_scan *scan, uint32_t bound);
