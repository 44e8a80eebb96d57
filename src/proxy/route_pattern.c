#include "proxy/route_pattern.h"

#include <stdarg.h>
#include <stdio.h>

#include "http/url.h"

enum host_class host_class_of(struct slice host)
{
    if (!host.len)
        return HOST_ANY;
    return host.at[0] == '~' ? HOST_REGEX : slice_has_prefix(host, SLICE_OF("*.")) ? HOST_WILDCARD : HOST_EXACT;
}

enum path_class path_class_of(struct slice path)
{
    if (!path.len)
        return PATH_ANY;
    if (path.at[0] == '~')
        return PATH_REGEX;
    if (path.at[path.len - 1] == '*')
        return PATH_PREFIX;
    return memchr(path.at, '{', path.len) ? PATH_PARAMETERS : PATH_EXACT;
}

struct slice path_pattern_stem(struct slice path)
{
    if (path_class_of(path) != PATH_PREFIX)
        return path;
    while (path.len && path.at[path.len - 1] == '*')
        path.len--;
    if (path.len)
        path.len--;
    return path;
}

bool segment_is_parameter(struct slice segment) { return segment.len && segment.at[0] == '{'; }

/* -- checking -- */

static enum rc refuse(struct pattern_error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return RC_MALFORMED;
}

static const char expected_host[] = "a name, \"*.\" and a name, or \"~\" and a regular expression";
static const char expected_path[] =
    "\"/exact\", \"/with/{parameters}\", \"/prefix/*\" or \"~\" and a regular expression";

enum rc host_pattern_parse(struct slice text, struct arena *a, struct slice *out, struct pattern_error *e)
{
    enum host_class class = host_class_of(text);
    struct slice name = class == HOST_WILDCARD ? slice_from(text, 2) : text;
    if (!name.len || (class != HOST_REGEX && memchr(name.at, '*', name.len)))
        return refuse(e, "expected %s, found \"%.*s\"", expected_host, (int)text.len, text.at);
    *out = arena_copy(a, text);
    return RC_OK;
}

static bool is_name_byte(char c, bool is_first)
{
    return c == '_' || (unsigned)byte_lower((unsigned char)c) - 'a' < 26 || (!is_first && (unsigned)c - '0' < 10);
}

/* A segment with a brace in it. */
static enum rc check_parameter(struct slice segment, struct pattern_error *e)
{
    int len = (int)segment.len;
    const char *at = segment.at;
    if (at[0] != '{' || at[len - 1] != '}' || memchr(at + 1, '{', segment.len - 1) || memchr(at, '}', segment.len - 1))
        return refuse(e, "a parameter is a whole segment, as in \"/users/{id}\", found \"%.*s\"", len, at);
    if (len == 2)
        return refuse(e, "a parameter needs a name, as in \"/users/{id}\"");
    bool is_name = len - 2 <= ROUTE_PARAM_NAME_MAX;
    for (int i = 1; i < len - 1; i++)
        is_name &= is_name_byte(at[i], i == 1);
    if (!is_name)
        return refuse(e, "expected at most %d letters, digits and \"_\" as name of a parameter, found \"%.*s\"",
                      ROUTE_PARAM_NAME_MAX, len - 2, at + 1);
    return RC_OK;
}

static enum rc check_parameters(struct slice path, struct pattern_error *e)
{
    struct slice names[ROUTE_PARAMS_MAX], segment;
    uint32_t count = 0, place = 0;
    while (path_next_segment(&path, &segment)) {
        place++;
        if (!memchr(segment.at, '{', segment.len) && !memchr(segment.at, '}', segment.len))
            continue;
        if (check_parameter(segment, e) != RC_OK)
            return RC_MALFORMED;
        if (count == ROUTE_PARAMS_MAX || place > ROUTE_KIND_BITS)
            return refuse(e, "more than %d parameters, or one behind segment %d", ROUTE_PARAMS_MAX, ROUTE_KIND_BITS);
        for (uint32_t i = 0; i < count; i++)
            if (slice_equal(names[i], segment))
                return refuse(e, "the parameter %.*s is there twice", (int)segment.len, segment.at);
        names[count++] = segment;
    }
    return RC_OK;
}

/* Requests come in normal form, so patterns must have it too: "/%7eme" is "/~me". What stands between parameters is
 * normalised for itself, because braces have no place in a URL. `to` has room for three times the path. */
static enum rc normalise(struct slice path, bool merge_slashes, struct arena *a, char *to, size_t *len)
{
    struct slice rest = path, segment, normal;
    const char *start = path.at;
    size_t n = 0;
    bool is_more;
    do {
        is_more = path_next_segment(&rest, &segment);
        if (is_more && !segment_is_parameter(segment))
            continue;
        const char *end = is_more ? segment.at - 1 : slice_end(path);
        if (end > start) {
            if (url_normalise(slice_make(start, (size_t)(end - start)), merge_slashes, a, &normal) != RC_OK)
                return RC_MALFORMED;
            memcpy(to + n, normal.at, normal.len);
            n += normal.len;
        }
        if (is_more) {
            memcpy(to + n, segment.at - 1, segment.len + 1);
            n += segment.len + 1;
            start = slice_end(segment);
        }
    } while (is_more);
    *len = n;
    return RC_OK;
}

enum rc path_pattern_parse(struct slice text, bool merge_slashes, struct arena *a, struct slice *out,
                           struct pattern_error *e)
{
    if (text.len > ROUTE_PATTERN_MAX)
        return refuse(e, "expected at most %d bytes, found %zu", ROUTE_PATTERN_MAX, text.len);
    if (path_class_of(text) == PATH_REGEX) {
        *out = arena_copy(a, text);
        return RC_OK;
    }
    struct slice p = text;
    while (p.len && p.at[p.len - 1] == '*')
        p.len--;
    size_t stars = text.len - p.len;
    if (!p.len || p.at[0] != '/' || stars > 2 || (stars && p.at[p.len - 1] != '/') || memchr(p.at, '*', p.len))
        return refuse(e, "expected %s, found \"%.*s\"", expected_path, (int)text.len, text.at);
    if (check_parameters(p, e) != RC_OK)
        return RC_MALFORMED;
    char *at = arena_alloc(a, 3 * p.len + 1);
    size_t len;
    if (normalise(p, merge_slashes, a, at, &len) != RC_OK)
        return refuse(e, "\"%.*s\" can never be a request's path: a broken percent-encoding, or \"..\" above the root",
                      (int)text.len, text.at);
    if (stars)
        at[len++] = '*';
    *out = slice_make(at, len);
    return RC_OK;
}

/* -- fitting -- */

struct path_shape path_shape_of(struct slice path)
{
    struct path_shape shape = { 0 };
    struct slice rest = path_pattern_stem(path), segment;
    while (path_next_segment(&rest, &segment)) {
        uint32_t i = shape.segments++;
        if (i < ROUTE_KIND_BITS && segment_is_parameter(segment))
            shape.parameters[i / 64] |= (uint64_t)1 << (63 - i % 64);
    }
    return shape;
}

int path_shape_compare(const struct path_shape *a, const struct path_shape *b)
{
    if (a->segments != b->segments)
        return a->segments > b->segments ? -1 : 1;
    for (int i = 0; i < ROUTE_KIND_BITS / 64; i++)
        if (a->parameters[i] != b->parameters[i])
            return a->parameters[i] < b->parameters[i] ? -1 : 1;
    return 0;
}

bool host_pattern_fits(struct slice pattern, const struct regex *regex, struct slice host)
{
    switch (host_class_of(pattern)) {
    case HOST_ANY: return true;
    case HOST_EXACT: return slice_equal(pattern, host);
    case HOST_REGEX: return regex_match(regex, host, NULL, 0) == RC_OK;
    case HOST_WILDCARD: break;
    }
    struct slice tail = slice_from(pattern, 1);
    return host.len > tail.len && slice_equal(slice_from(host, host.len - tail.len), tail);
}

static bool segments_fit(struct slice stem, struct slice *path)
{
    struct slice wanted, segment;
    while (path_next_segment(&stem, &wanted))
        if (!path_next_segment(path, &segment) ||
            !(segment_is_parameter(wanted) ? segment.len > 0 : slice_equal(wanted, segment)))
            return false;
    return true;
}

bool path_pattern_fits(struct slice pattern, const struct regex *regex, struct slice path)
{
    enum path_class class = path_class_of(pattern);
    if (class == PATH_ANY)
        return true;
    if (class == PATH_REGEX)
        return regex_match(regex, path, NULL, 0) == RC_OK;
    struct slice stem = path_pattern_stem(pattern);
    if (path.len && path.at[0] != '/')                  /* the asterisk of OPTIONS */
        return !stem.len;
    return segments_fit(stem, &path) && (class == PATH_PREFIX || !path.len);
}

static uint32_t groups_of(const struct regex *regex, struct slice path, struct route_param *out)
{
    struct slice groups[REGEX_GROUPS_MAX + 1];
    uint32_t count = 0, last = regex_groups(regex);
    if (regex_match(regex, path, groups, last + 1) != RC_OK)
        return 0;
    for (uint32_t i = 1; i <= last && count < ROUTE_PARAMS_MAX; i++) {
        struct slice name = regex_group_name(regex, i);
        if (name.len && groups[i].at)
            out[count++] = (struct route_param){ name, groups[i] };
    }
    return count;
}

uint32_t path_pattern_params(struct slice pattern, const struct regex *regex, struct slice path,
                             struct route_param *out)
{
    struct slice stem = path_pattern_stem(pattern), wanted, segment;
    uint32_t count = 0;
    if (path_class_of(pattern) == PATH_REGEX)
        return groups_of(regex, path, out);
    if (!pattern.len || !memchr(pattern.at, '{', pattern.len))
        return 0;
    while (path_next_segment(&stem, &wanted) && path_next_segment(&path, &segment))
        if (segment_is_parameter(wanted) && count < ROUTE_PARAMS_MAX)
            out[count++] = (struct route_param){ slice_make(wanted.at + 1, wanted.len - 2), segment };
    return count;
}
