#include "http/url.h"

enum { UNRESERVED = 1, ALLOWED = 2 };   /* RFC 3986 section 2.3; pchar and '/' of section 3.3 */

static unsigned class_of(unsigned char c)
{
    if ((unsigned)(c | 0x20) - 'a' < 26 || (unsigned)c - '0' < 10 || c == '-' || c == '.' || c == '_' || c == '~')
        return UNRESERVED | ALLOWED;
    return c != 0 && strchr("!$&'()*+,;=:@/", c) ? ALLOWED : 0;
}

static int hex_digit(unsigned char c)
{
    if ((unsigned)c - '0' < 10)
        return c - '0';
    c = byte_lower(c);
    return (unsigned)c - 'a' < 6 ? c - 'a' + 10 : -1;
}

/* Most paths are normal already; this finds out in one pass without writing. */
static const uint8_t plain_byte[256] = {
    [0] = 0,
#define P(c) [c] = 1
    P('!'), P('$'), P('&'), P('\''), P('('), P(')'), P('*'), P('+'), P(','), P(';'), P('='), P(':'), P('@'), P('-'),
    P('_'), P('~'), P('0'), P('1'), P('2'), P('3'), P('4'), P('5'), P('6'), P('7'), P('8'), P('9'), P('A'), P('B'),
    P('C'), P('D'), P('E'), P('F'), P('G'), P('H'), P('I'), P('J'), P('K'), P('L'), P('M'), P('N'), P('O'), P('P'),
    P('Q'), P('R'), P('S'), P('T'), P('U'), P('V'), P('W'), P('X'), P('Y'), P('Z'), P('a'), P('b'), P('c'), P('d'),
    P('e'), P('f'), P('g'), P('h'), P('i'), P('j'), P('k'), P('l'), P('m'), P('n'), P('o'), P('p'), P('q'), P('r'),
    P('s'), P('t'), P('u'), P('v'), P('w'), P('x'), P('y'), P('z'),
    ['/'] = 2, ['.'] = 3,
#undef P
};

static bool is_normal(struct slice path)
{
    unsigned char before = 0;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        unsigned kind = plain_byte[c];
        if (kind == 0 || (kind >= 2 && before == '/'))
            return false;
        before = c;
    }
    return true;
}

/* Decodes and encodes into out, which has room for three times the input. */
static enum rc recode(struct slice path, char *out, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        bool encoded = c == '%';
        if (encoded) {
            int high = i + 1 < path.len ? hex_digit((unsigned char)path.at[i + 1]) : -1;
            int low = i + 2 < path.len ? hex_digit((unsigned char)path.at[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return RC_MALFORMED;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (class_of(c) & (encoded ? UNRESERVED : ALLOWED)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = "0123456789ABCDEF"[c >> 4];
        out[n++] = "0123456789ABCDEF"[c & 15];
    }
    *len = n;
    return RC_OK;
}

/* RFC 3986 section 5.2.4, in place; empty segments fold when asked. */
static enum rc remove_dots(char *at, size_t len, bool merge_slashes, size_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t end = i + 1;                             /* at[i] is the slash before the segment */
        while (end < len && at[end] != '/')
            end++;
        size_t size = end - i - 1;
        bool last = end == len;
        if (size == 1 && at[i + 1] == '.') {
            if (last)
                at[n++] = '/';
        } else if (size == 2 && at[i + 1] == '.' && at[i + 2] == '.') {
            if (n == 0)
                return RC_MALFORMED;
            while (at[--n] != '/')
                ;
            if (last)
                at[n++] = '/';
        } else if (size || last || !merge_slashes) {
            memmove(at + n, at + i, size + 1);
            n += size + 1;
        }
        i = end;
    }
    if (merge_slashes && n > 1 && at[n - 1] == '/' && at[n - 2] == '/')
        n--;
    *out = n;
    return RC_OK;
}

enum rc url_normalise(struct slice path, bool merge_slashes, struct arena *a, struct slice *out)
{
    if (path.len == 0 || path.at[0] != '/')
        return RC_MALFORMED;
    *out = path;
    if (is_normal(path))
        return RC_OK;
    char *at = arena_alloc(a, 3 * path.len);
    size_t len;
    if (recode(path, at, &len) != RC_OK || remove_dots(at, len, merge_slashes, &len) != RC_OK)
        return RC_MALFORMED;
    if (len == 0)
        at[len++] = '/';
    *out = slice_make(at, len);
    return RC_OK;
}

bool url_is_hidden(struct slice path)
{
    if (slice_has_prefix(path, SLICE_OF("/.well-known/")))
        path = slice_from(path, 12);
    const char *end = slice_end(path);
    for (const char *at = path.at; (at = memchr(at, '/', (size_t)(end - at))); at++)
        if (at + 1 < end && at[1] == '.')
            return true;
    return false;
}

static bool is_host_byte(unsigned char c)
{
    return (class_of(c) & UNRESERVED) || (c != 0 && strchr("!$&'()*+,;=%", c));
}

static enum rc split_literal(struct slice authority, struct slice *host, struct slice *port)
{
    const char *end = memchr(authority.at, ']', authority.len);
    if (!end)
        return RC_MALFORMED;
    *host = slice_make(authority.at, (size_t)(end + 1 - authority.at));
    for (size_t i = 1; i + 1 < host->len; i++)
        if (hex_digit((unsigned char)host->at[i]) < 0 && host->at[i] != ':' && host->at[i] != '.')
            return RC_MALFORMED;
    *port = slice_from(authority, host->len);
    return host->len > 3 ? RC_OK : RC_MALFORMED;
}

enum rc url_split_authority(struct slice authority, struct arena *a, struct slice *host, struct slice *port)
{
    if (authority.len && authority.at[0] == '[') {
        if (split_literal(authority, host, port) != RC_OK)
            return RC_MALFORMED;
    } else {
        const char *colon = memchr(authority.at, ':', authority.len);
        *host = slice_make(authority.at, colon ? (size_t)(colon - authority.at) : authority.len);
        *port = slice_from(authority, host->len);
        if (host->len && host->at[host->len - 1] == '.')
            host->len--;
    }
    if (port->len) {
        uint64_t number;
        *port = slice_from(*port, 1);
        if (authority.at[authority.len - port->len - 1] != ':' ||
            (port->len && !slice_to_u64(*port, 65535, &number)))
            return RC_MALFORMED;
    }
    bool upper = false;
    for (size_t i = 0; i < host->len && host->at[0] != '['; i++) {
        unsigned char c = (unsigned char)host->at[i];
        if (!is_host_byte(c))
            return RC_MALFORMED;
        upper |= (unsigned)c - 'A' < 26;
    }
    if (upper) {
        char *lower = arena_alloc(a, host->len);
        for (size_t i = 0; i < host->len; i++)
            lower[i] = (char)byte_lower((unsigned char)host->at[i]);
        host->at = lower;
    }
    return host->len ? RC_OK : RC_MALFORMED;
}

static bool cut_scheme(struct slice *target, struct slice scheme)
{
    if (target->len < scheme.len || !slice_equal_nocase(slice_make(target->at, scheme.len), scheme))
        return false;
    *target = slice_from(*target, scheme.len);
    return true;
}

enum rc url_split_absolute(struct slice target, struct slice *authority, struct slice *path)
{
    if (!cut_scheme(&target, SLICE_OF("http://")) && !cut_scheme(&target, SLICE_OF("https://")))
        return RC_MALFORMED;
    size_t n = 0;
    while (n < target.len && target.at[n] != '/' && target.at[n] != '?')
        n++;
    *authority = slice_make(target.at, n);
    *path = slice_from(target, n);
    if (n == 0 || memchr(authority->at, '@', n))
        return RC_MALFORMED;
    return RC_OK;
}
