#pragma once
/* regex: regular expressions for what strangers send: PCRE2, compiled to machine code once, matched by any thread.
 * Bytes, not characters; "$" is the very end. A match always comes to an end: tries, depth, stack and, for long
 * subjects, time are limited, and a pattern that runs into a limit gives RC_LIMIT and is counted. */
#include "base/rc.h"
#include "base/slice.h"

enum {
    REGEX_PATTERN_MAX = 8192,           /* bytes */
    REGEX_COMPILED_MAX = 32 * 1024,     /* bytes of a compiled pattern: {1000} of something large is refused */
    REGEX_GROUPS_MAX = 32,              /* what parentheses may capture */
};
enum regex_flag { REGEX_NOCASE = 1 };

struct regex;                           /* immutable; shared by threads */

struct regex_error {
    char text[200];                     /* what is wrong, with its place: "missing closing parenthesis at byte 3" */
    size_t offset;                      /* in the pattern, from 0 */
};

/* flags: enum regex_flag. RC_OK with *out, owned by the caller; or RC_MALFORMED with *e. */
enum rc regex_compile(struct slice pattern, unsigned flags, struct regex **out, struct regex_error *e);
void regex_free(struct regex *r);

/* Looks for the pattern anywhere in the subject.
 * RC_OK     found; groups[i] is what group i captured, a view of the subject, for each i below count: 0 is the whole
 *           match; a group that took no part, or that there is not, has no `at`
 * RC_END    not found
 * RC_LIMIT  it takes too long to tell */
enum rc regex_match(const struct regex *r, struct slice subject, struct slice *groups, uint32_t count);

/* How many groups capture, without the whole match. */
uint32_t regex_groups(const struct regex *r);
/* How many of them have a name. */
uint32_t regex_names(const struct regex *r);
/* The name of a group from 1 on, empty where it has none. Lives as long as the pattern. */
struct slice regex_group_name(const struct regex *r, uint32_t group);
/* Memory of the compiled pattern and its machine code. */
size_t regex_bytes(const struct regex *r);
/* How often a match ran into a limit since the process began, in all threads. */
uint64_t regex_limit_hits(void);
