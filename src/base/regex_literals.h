#pragma once
/* regex_literals: the bytes that every match of a regular expression holds, read off the text of the pattern. Who has
 * thousands of patterns need only run those whose bytes are there. Careful: what is not certain is left out, so that no
 * pattern that could match is ever passed over; a pattern with alternatives or options in it has none. */
#include "base/slice.h"

enum { LITERAL_RUNS_MAX = 8, LITERAL_BYTES_MAX = 256 };

struct literal_run { uint16_t at, len; };       /* of text */

struct regex_literals {
    bool is_prefix;                     /* the first run is how every subject begins */
    uint32_t count, bytes;
    struct literal_run runs[LITERAL_RUNS_MAX];
    char text[LITERAL_BYTES_MAX];
};

/* flags: enum regex_flag; with REGEX_NOCASE for subjects in lower case only. The pattern must be one that compiles. */
void regex_literals_find(struct slice pattern, unsigned flags, struct regex_literals *out);

static inline struct slice regex_literal(const struct regex_literals *l, uint32_t i)
{
    return slice_make(l->text + l->runs[i].at, l->runs[i].len);
}
