#include "http/h1_parse.h"

#include <assert.h>

#include "http/header_table.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first byte at or after `at` that no field value may hold: below space but tab, or DEL. What lies behind end is
 * looked at too: a place there says that there is no such byte. */
static inline const char *value_end(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i one = _mm_set1_epi8(1), least = _mm_set1_epi8(' ' + 1);
    do {
        /* From space to '~' a byte and one is, as a signed number, over a space: others are looked at one by one. */
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(least, _mm_add_epi8(bytes, one)));
        for (; mask; mask &= mask - 1) {
            const char *odd = at + (unsigned)__builtin_ctz(mask);
            if (*odd == '\r' || (*odd >= 0 && *odd != '\t'))       /* obs-text is allowed */
                return odd;
        }
    } while ((at += 16) < end);
    return at;
#else
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return at;
    }
    return end;
#endif
}

/* Target bytes: visible ASCII only, no fragment. */
static const char *target_end(const char *at, const char *end)
{
#ifdef __SSE2__
    /* Visible bytes and one are, as signed numbers, over '!'; DEL and those with the high bit are below zero. */
    const __m128i one = _mm_set1_epi8(1), least = _mm_set1_epi8('!' + 1), hash = _mm_set1_epi8('#');
    for (; at < end; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i bad = _mm_or_si128(_mm_cmpgt_epi8(least, _mm_add_epi8(bytes, one)), _mm_cmpeq_epi8(bytes, hash));
        unsigned mask = (unsigned)_mm_movemask_epi8(bad);
        if (mask) {
            at += (unsigned)__builtin_ctz(mask);
            break;
        }
    }
    return at < end ? at : end;
#else
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c <= ' ' || c >= 0x7f || c == '#')
            return at;
    }
    return end;
#endif
}

#ifdef __SSE2__
/* Letters and digits. */
static inline __m128i are_alphanumeric(__m128i bytes)
{
    __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    return _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                        _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
}
#endif

/* Behind the bytes of a path that are normal whatever comes: letters, digits, '-', '_', and slashes one by one. It may
 * say less. */
static inline const char *plain_path_end(const char *at, const char *end)
{
#ifdef __SSE2__
    for (unsigned behind_slash = 0; at < end; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('/'));
        __m128i dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')), low = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_'));
        __m128i good = _mm_or_si128(_mm_or_si128(are_alphanumeric(bytes), slash), _mm_or_si128(dash, low));
        unsigned slashes = (unsigned)_mm_movemask_epi8(slash);
        unsigned stop = ((unsigned)_mm_movemask_epi8(good) ^ 0xffffu) | (slashes & (slashes << 1 | behind_slash));
        if (stop) {
            at += (unsigned)__builtin_ctz(stop);
            break;
        }
        behind_slash = slashes >> 15;
    }
    return at < end ? at : end;
#else
    (void)end;
    return at;
#endif
}

static inline const char *token_end(const char *at, const char *end)
{
#ifdef __SSE2__
    /* Nearly all names are letters, digits and '-': sixteen bytes at a time. What ends such a run, the table judges. */
    for (; at < end; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i good = _mm_or_si128(are_alphanumeric(bytes), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
        unsigned bad = (unsigned)_mm_movemask_epi8(good) ^ 0xffffu;
        if (bad) {
            at += (unsigned)__builtin_ctz(bad);
            break;
        }
    }
    if (at >= end)
        return end;
#endif
    while (at < end && header_token_table[(unsigned char)*at])
        at++;
    return at;
}

/* CR LF at `at`: moves behind it. */
static inline enum rc take_line_end(const char **at, const char *end)
{
    const char *p = *at;
    if (end - p >= 2) {
        if (p[0] != '\r' || p[1] != '\n')
            return RC_MALFORMED;
        *at = p + 2;
        return RC_OK;
    }
    return p == end || *p == '\r' ? RC_AGAIN : RC_MALFORMED;
}

static inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* The first colon, or a place at or behind end. */
static inline const char *colon_in(const char *at, const char *end)
{
#ifdef __SSE2__
    do {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));
        if (mask)
            return at + (unsigned)__builtin_ctz(mask);
    } while ((at += 16) < end);
    return end;
#else
    at = memchr(at, ':', (size_t)(end - at));
    return at ? at : end;
#endif
}

/* What lies between colon and value, or a line's end. */
static inline const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* Room for one more field, or NULL: there may be no more. *room: how many the list may have before this is asked. */
static struct header *make_room(struct headers *headers, struct arena *a, const struct h1_limits *limits,
                                uint32_t *room)
{
    if (headers->count == limits->headers)
        return NULL;
    if (headers->count == headers->cap)
        headers_grow(headers, a);
    *room = headers->cap < limits->headers ? headers->cap : limits->headers;
    return headers->at + headers->count;
}

/* Field lines up to and with the empty line. *from is then behind them, or at the byte that is RC_MALFORMED. A name
 * that the table of known names holds is a token; others are looked at byte by byte. */
static enum rc take_fields(const char **from, const char *end, const struct h1_limits *limits, struct arena *a,
                           struct headers *headers)
{
    struct header *field = headers->at;
    uint32_t count = 0, room = headers->cap < limits->headers ? headers->cap : limits->headers;
    enum header_line kind = LINE_WHOLE;
    const char *at = *from;
    for (;;) {
        if (at < end && *at == '\r') {
            enum rc rc = take_line_end(&at, end);
            *from = at;
            return rc;
        }
        const char *colon = colon_in(at, end);
        enum header_id id = HEADER_UNKNOWN;
        if (colon < end)
            id = header_look_up(slice_make(at, (size_t)(colon - at)));
        if (id == HEADER_UNKNOWN) {
            colon = token_end(at, end);
            if (colon == end || *colon != ':' || colon == at) {
                *from = colon;
                return colon == end ? RC_AGAIN : RC_MALFORMED;
            }
        }
        if (count == room && !(field = make_room(headers, a, limits, &room)))
            return RC_HEAD_LIMIT;
        /* Nearly always one space; what lies behind end is readable. */
        enum header_line line = kind;
        const char *value = colon + 2;
        if (colon[1] != ' ' || (unsigned char)*value <= ' ') {
            value = skip_blanks(colon + 1, end);
            line = LINE_NONE;
        }
        const char *stop = value_end(value, end), *next = stop + 2;
        if (next > end || memcmp(stop, "\r\n", 2) != 0) {
            *from = stop < end ? stop : end;
            return take_line_end(from, end) == RC_AGAIN ? RC_AGAIN : RC_MALFORMED;
        }
        while ((unsigned char)stop[-1] <= ' ' && stop > value) {
            stop--;
            line = LINE_NONE;
        }
        header_set(field++, id, slice_make(at, (size_t)(colon - at)), slice_make(value, (size_t)(stop - value)), line);
        headers->count = ++count;
        if (!headers->first[id])
            headers->first[id] = (uint16_t)count;
        kind = LINE_NEXT;
        at = next;
    }
}

/* "HTTP/1.x"; 8 bytes must be there. */
static enum rc take_version(const char **at, uint8_t *minor)
{
    const char *v = *at;
    if (memcmp(v, "HTTP/1.1", 8) == 0) {
        *minor = 1;
        *at += 8;
        return RC_OK;
    }
    if (memcmp(v, "HTTP/", 5) != 0 || (unsigned)v[5] - '0' > 9 || v[6] != '.' || (unsigned)v[7] - '0' > 9)
        return RC_MALFORMED;
    if (v[5] != '1')
        return RC_VERSION;
    *minor = v[7] == '0' ? 0 : 1;       /* RFC 9112 section 2.3: a higher minor version is treated as ours */
    *at += 8;
    return RC_OK;
}

static enum rc take_request_line(const char **at, const char *end, const struct h1_limits *limits,
                                 struct h1_head *head)
{
    enum { METHOD_MAX = 32 };
    const char *stop = token_end(*at, end);
    head->method = slice_make(*at, (size_t)(stop - *at));
    if (head->method.len > METHOD_MAX)
        return RC_UNKNOWN_CODING;
    if (stop == end)
        return RC_AGAIN;
    if (*stop != ' ' || head->method.len == 0) {
        *at = stop;
        return RC_MALFORMED;
    }
    *at = stop + 1;
    const char *plain = plain_path_end(*at, end);
    stop = plain < end && *plain == ' ' ? plain : target_end(plain, end);
    head->target = slice_make(*at, (size_t)(stop - *at));
    head->plain = (size_t)(plain - *at);
    if (head->target.len > limits->uri_bytes)
        return RC_URI_LIMIT;
    if (stop == end)
        return RC_AGAIN;
    if (*stop != ' ' || head->target.len == 0) {
        *at = stop;
        return RC_MALFORMED;
    }
    *at = stop + 1;
    if (end - *at < 8) {
        size_t n = (size_t)(end - *at) < 5 ? (size_t)(end - *at) : 5;
        return memcmp(*at, "HTTP/", n) == 0 ? RC_AGAIN : RC_MALFORMED;
    }
    enum rc rc = take_version(at, &head->minor);
    return rc == RC_OK ? take_line_end(at, end) : rc;
}

static enum rc finish(enum rc rc, struct slice in, const char *at, const struct h1_limits *limits, struct h1_head *head)
{
    head->bytes = (size_t)(at - in.at);
    if ((rc == RC_OK && head->bytes > limits->head_bytes) || (rc == RC_AGAIN && in.len >= limits->head_bytes))
        return RC_HEAD_LIMIT;
    return rc;
}

enum rc h1_parse_request(struct slice in, const struct h1_limits *limits, struct arena *a, struct h1_head *head,
                         struct headers *headers)
{
    const char *at = in.at, *end = slice_end(in);
    enum rc rc = RC_OK;
    /* RFC 9112 section 2.2: an empty line before the request line is forgiven; we forgive one. */
    if (at < end && *at == '\r')
        rc = take_line_end(&at, end);
    if (rc == RC_OK)
        rc = take_request_line(&at, end, limits, head);
    if (rc == RC_OK)
        rc = take_fields(&at, end, limits, a, headers);
    return finish(rc, in, at, limits, head);
}

static enum rc take_status_line(const char **at, const char *end, struct h1_head *head)
{
    size_t n = (size_t)(end - *at);
    if (n < 13)
        return memcmp(*at, "HTTP/", n < 5 ? n : 5) == 0 ? RC_AGAIN : RC_MALFORMED;
    enum rc rc = take_version(at, &head->minor);
    if (rc != RC_OK)
        return rc;
    const char *v = *at;
    unsigned a = (unsigned)v[1] - '0', b = (unsigned)v[2] - '0', c = (unsigned)v[3] - '0';
    if (v[0] != ' ' || a > 9 || b > 9 || c > 9 || a == 0)
        return RC_MALFORMED;
    head->status = (int)(a * 100 + b * 10 + c);
    *at += 4;
    /* The space behind the status is required, but servers without a reason phrase often leave it out. */
    if (**at == ' ')
        ++*at;
    else if (**at != '\r')
        return RC_MALFORMED;
    const char *stop = value_end(*at, end);
    stop = stop < end ? stop : end;
    head->reason = slice_make(*at, (size_t)(stop - *at));
    *at = stop;
    return take_line_end(at, end);
}

enum rc h1_parse_response(struct slice in, const struct h1_limits *limits, struct arena *a, struct h1_head *head,
                          struct headers *headers)
{
    const char *at = in.at, *end = slice_end(in);
    enum rc rc = take_status_line(&at, end, head);
    if (rc == RC_OK)
        rc = take_fields(&at, end, limits, a, headers);
    return finish(rc, in, at, limits, head);
}

enum rc h1_parse_fields(struct slice in, const struct h1_limits *limits, struct arena *a, size_t *bytes,
                        struct headers *headers)
{
    struct h1_head head;
    const char *at = in.at;
    enum rc rc = take_fields(&at, slice_end(in), limits, a, headers);
    rc = finish(rc, in, at, limits, &head);
    *bytes = head.bytes;
    return rc;
}

enum { TLS_HANDSHAKE = 22 };            /* the first byte of a ClientHello, RFC 8446 section 5.1 */

/* line: what was good of it. */
static const char *why_in_request_line(struct slice line, char bad)
{
    unsigned spaces = 0;
    for (size_t i = 0; i < line.len; i++)
        spaces += line.at[i] == ' ';
    bool empty = line.len == 0 || line.at[line.len - 1] == ' ';
    if (line.len == 0 && bad == TLS_HANDSHAKE)
        return "TLS where plain HTTP was expected";
    switch (spaces) {
    case 0: return empty ? "no method" : "bad byte in the method";
    case 1: return empty ? "no target" : bad == '\r' ? "no HTTP version" : "bad byte in the target";
    default: return empty ? "no HTTP version" : "bytes behind the HTTP version";
    }
}

static const char *why_in_field(struct slice line, char bad)
{
    if (memchr(line.at, ':', line.len))
        return "control byte in a field value";
    if (is_blank(bad))
        return line.len ? "space before colon" : "folded field line";
    if (bad == '\r')
        return "field line without colon";
    return bad == ':' ? "empty field name" : "bad byte in a field name";
}

const char *h1_parse_why(struct slice in, size_t at)
{
    assert(at < in.len);
    char bad = in.at[at];
    if (bad == '\n')
        return "bare LF";
    if (bad == '\r' && at + 1 < in.len && in.at[at + 1] != '\n')
        return "bare CR";
    size_t start = at;
    while (start && in.at[start - 1] != '\n')
        start--;
    struct slice line = slice_make(in.at + start, at - start);
    /* An empty line may come first. */
    bool first = start == 0 || (start == 2 && in.at[0] == '\r');
    return first ? why_in_request_line(line, bad) : why_in_field(line, bad);
}

static void move(struct slice *s, const char *from, char *to)
{
    if (s->at)
        s->at = to + (s->at - from);
}

void h1_head_move(struct h1_head *head, struct headers *headers, const char *from, char *to)
{
    move(&head->method, from, to);
    move(&head->target, from, to);
    move(&head->reason, from, to);
    for (uint32_t i = 0; i < headers->count; i++) {
        move(&headers->at[i].name, from, to);
        move(&headers->at[i].value, from, to);
    }
}
