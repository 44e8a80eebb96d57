#include "http/url.h"

#include "net/addr.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    UNRESERVED = 1,     /* RFC 3986 section 2.3 */
    SUB_DELIM = 2,      /* section 2.2 */
    PATH_ONLY = 4,      /* what pchar and path add to them, section 3.3 */
    ALLOWED = UNRESERVED | SUB_DELIM | PATH_ONLY,
    PERCENT = 8,
    HOST = UNRESERVED | SUB_DELIM | PERCENT,        /* reg-name, section 3.2.2 */
    UPPER = 16,         /* a letter that has another case */
    DOT = 32,
};

/* NOLINTBEGIN(bugprone-macro-parentheses): designators */
#define U(c) [c] = UNRESERVED
#define B(c) [c] = UNRESERVED | UPPER
#define D(c) [c] = SUB_DELIM
static const uint8_t classes[256] = {
    U('-'), U('_'), U('~'), U('0'), U('1'), U('2'), U('3'), U('4'), U('5'), U('6'), U('7'), U('8'), U('9'),
    B('A'), B('B'), B('C'), B('D'), B('E'), B('F'), B('G'), B('H'), B('I'), B('J'), B('K'), B('L'), B('M'), B('N'),
    B('O'), B('P'), B('Q'), B('R'), B('S'), B('T'), B('U'), B('V'), B('W'), B('X'), B('Y'), B('Z'), U('a'), U('b'),
    U('c'), U('d'), U('e'), U('f'), U('g'), U('h'), U('i'), U('j'), U('k'), U('l'), U('m'), U('n'), U('o'), U('p'),
    U('q'), U('r'), U('s'), U('t'), U('u'), U('v'), U('w'), U('x'), U('y'), U('z'), D('!'), D('$'), D('&'), D('\''),
    D('('), D(')'), D('*'), D('+'), D(','), D(';'), D('='), [':'] = PATH_ONLY, ['@'] = PATH_ONLY, ['/'] = PATH_ONLY,
    ['%'] = PERCENT, ['.'] = UNRESERVED | DOT,
};
#undef U
#undef B
#undef D
/* NOLINTEND(bugprone-macro-parentheses) */

static int hex_digit(unsigned char c)
{
    if ((unsigned)c - '0' < 10)
        return c - '0';
    c = byte_lower(c);
    return (unsigned)c - 'a' < 6 ? c - 'a' + 10 : -1;
}

/* Most paths are normal already; this finds out in one pass without writing. */
static bool is_normal(struct slice path)
{
    char before = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.at[i];
        if (!(classes[(unsigned char)c] & ALLOWED) || (before == '/' && (c == '/' || c == '.')))
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
            if (high < 0 || low < 0)
                return RC_MALFORMED;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (c == 0)
            return RC_MALFORMED;
        if (classes[c] & (encoded ? UNRESERVED : ALLOWED)) {
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
    for (const char *at = path.at; (at = memchr(at, '.', (size_t)(end - at))); at++) {
        size_t before = (size_t)(at - path.at);
        if ((before >= 1 && at[-1] == '/') || (before >= 3 && memcmp(at - 3, "%2F", 3) == 0))
            return true;
    }
    return false;
}

static enum rc split_literal(struct slice authority, struct slice *host, struct slice *port)
{
    const char *end = memchr(authority.at, ']', authority.len);
    if (!end)
        return RC_MALFORMED;
    *host = slice_make(authority.at, (size_t)(end + 1 - authority.at));
    *port = slice_from(authority, host->len);
    struct peer p;
    return peer_parse(*host, &p) && p.family == AF_INET6 ? RC_OK : RC_MALFORMED;
}

#ifdef __SSE2__
/* 8 to 15 bytes, with zeros behind them. */
static inline __m128i short_piece(const char *at, size_t len)
{
    uint64_t first, last;
    memcpy(&first, at, 8);
    memcpy(&last, at + len - 8, 8);
    return _mm_set_epi64x(len == 8 ? 0 : (long long)(last >> 8 * (16 - len)), (long long)first);
}
#endif

/* How many bytes at the front of a name need no further look: lower case letters, digits, '-', and dots without an
 * empty label between them. Where it finds one of those, and for the last few bytes, it may say less. */
static size_t plain_bytes(struct slice s)
{
    size_t n = 0;
#ifdef __SSE2__
    const __m128i a = _mm_set1_epi8('a'), zero = _mm_set1_epi8('0');
    for (unsigned after_dot = 1; s.len - n >= 8;) {
        size_t left = s.len - n;
        const char *at = s.at + n;
        __m128i bytes = left >= 16 ? _mm_loadu_si128((const __m128i *)(const void *)at) : short_piece(at, left);
        __m128i letter = _mm_sub_epi8(bytes, a), digit = _mm_sub_epi8(bytes, zero);
        __m128i good = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                                    _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
        __m128i dot = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')), dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
        unsigned others = ~(unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(good, dash), dot));
        unsigned count = (unsigned)__builtin_ctz(others);       /* 16 where there are none: the bits above are set */
        unsigned dots = (unsigned)_mm_movemask_epi8(dot) & ((1u << count) - 1);
        if (dots & (dots << 1 | after_dot))
            break;
        n += count;
        if (count < 16)
            break;
        after_dot = dots >> 15;
    }
#endif
    return n;
}

/* The bytes of a name at the front of the authority, RFC 3986 section 3.2.2; empty where it has an empty label. *any:
 * all classes of its bytes. */
static struct slice take_name(struct slice authority, unsigned *any)
{
    const char *at = authority.at + plain_bytes(authority), *end = slice_end(authority);
    unsigned before = at == authority.at || at[-1] == '.' ? DOT : 0, seen = 0, twice = 0;
    for (; at < end; at++) {
        unsigned class = classes[(unsigned char)*at];
        if (!(class & HOST))
            break;
        seen |= class;
        twice |= before & class;
        before = class;
    }
    *any = seen;
    return slice_make(authority.at, twice & DOT ? 0 : (size_t)(at - authority.at));
}

static bool has_broken_escape(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == '%' && (i + 2 >= name.len || hex_digit((unsigned char)name.at[i + 1]) < 0 ||
                                  hex_digit((unsigned char)name.at[i + 2]) < 0))
            return true;
    return false;
}

/* The name is cut of the dot at its end. */
static enum rc split_name(struct slice authority, struct slice *host, struct slice *port, unsigned *any)
{
    *host = take_name(authority, any);
    *port = slice_from(authority, host->len);
    if (host->len && host->at[host->len - 1] == '.')
        host->len--;
    return !host->len || (*any & PERCENT && has_broken_escape(*host)) ? RC_MALFORMED : RC_OK;
}

/* RFC 3986 section 3.2.3: it may be empty. */
static bool is_port(struct slice s)
{
    unsigned n = 0;
    for (const char *at = s.at, *end = slice_end(s); at < end; at++) {
        unsigned digit = (unsigned char)*at - '0';
        if (digit > 9 || n > 65535)
            return false;
        n = n * 10 + digit;
    }
    return n <= 65535;
}

enum rc url_split_authority(struct slice authority, struct arena *a, struct slice *host, struct slice *port)
{
    unsigned any = UPPER;
    bool is_literal = authority.len && authority.at[0] == '[';
    enum rc rc = is_literal ? split_literal(authority, host, port) : split_name(authority, host, port, &any);
    if (rc != RC_OK)
        return rc;
    if (port->len) {
        if (port->at[0] != ':')
            return RC_MALFORMED;
        *port = slice_from(*port, 1);
        if (!is_port(*port))
            return RC_MALFORMED;
    }
    if (any & UPPER) {
        char *lower = arena_alloc(a, host->len);
        for (size_t i = 0; i < host->len; i++)
            lower[i] = (char)byte_lower((unsigned char)host->at[i]);
        host->at = lower;
    }
    return RC_OK;
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
