#pragma once
/* route_pattern: the hosts and paths that routes are written with. A host is "a.example.com", "*.example.com", "~" and
 * a regular expression, or "" for any. A path is "/exact", "/users/{id}" (a parameter is one segment that is not
 * empty), "/prefix/" + "*" (which may have parameters, too), "~" and a regular expression, or "" for any.
 * What is here is plain and slow: the router compiles it, `explain` asks it one by one, and the specs compare. */
#include "base/arena.h"
#include "base/rc.h"
#include "base/regex.h"

enum {
    ROUTE_PATTERN_MAX = 4096,           /* bytes of a path */
    ROUTE_PARAMS_MAX = 16,
    ROUTE_PARAM_NAME_MAX = 32,          /* bytes, as PCRE2 has it for groups */
    ROUTE_KIND_BITS = 128,              /* segments among which a pattern may have parameters */
};

/* In the order in which they win. */
enum host_class { HOST_EXACT, HOST_WILDCARD, HOST_REGEX, HOST_ANY };
enum path_class { PATH_EXACT, PATH_PARAMETERS, PATH_PREFIX, PATH_REGEX, PATH_ANY };

enum host_class host_class_of(struct slice host);
enum path_class path_class_of(struct slice path);

struct pattern_error { char text[400]; };

/* Checks what a configuration has, and brings it to the form above; *out lives in the arena.
 * RC_MALFORMED with what is wrong. A regular expression is not compiled here. */
enum rc host_pattern_parse(struct slice text, struct arena *a, struct slice *out, struct pattern_error *e);
enum rc path_pattern_parse(struct slice text, bool merge_slashes, struct arena *a, struct slice *out,
                           struct pattern_error *e);

/* A prefix without its star and the slash before it; other paths as they are. */
struct slice path_pattern_stem(struct slice path);
/* Takes the next segment off a path, or a stem, whose first slash is at its front. False at its end. */
static inline bool path_next_segment(struct slice *path, struct slice *segment)
{
    if (!path->len)
        return false;
    const char *start = path->at + 1;
    const char *slash = memchr(start, '/', path->len - 1);
    *segment = slice_make(start, slash ? (size_t)(slash - start) : path->len - 1);
    *path = slice_from(*path, segment->len + 1);
    return true;
}
bool segment_is_parameter(struct slice segment);

/* Which of two paths of the classes PATH_PARAMETERS or PATH_PREFIX that fit the same request is the nearer one: below 0
 * for a. More segments; then, from the left, a literal segment where the other has a parameter. 0: the same shape. */
struct path_shape { uint32_t segments; uint64_t parameters[ROUTE_KIND_BITS / 64]; };
struct path_shape path_shape_of(struct slice path);
int path_shape_compare(const struct path_shape *a, const struct path_shape *b);

/* regex: the pattern compiled, where it is one. Host in lower case, path normalised. */
bool host_pattern_fits(struct slice pattern, const struct regex *regex, struct slice host);
bool path_pattern_fits(struct slice pattern, const struct regex *regex, struct slice path);

struct route_param { struct slice name, value; };       /* views of the pattern and of the path */

/* The parameters of a path that fits. Gives how many there are; out has room for ROUTE_PARAMS_MAX. Groups of a regular
 * expression that have a name are parameters; those that took no part are left out. */
uint32_t path_pattern_params(struct slice pattern, const struct regex *regex, struct slice path,
                             struct route_param *out);
