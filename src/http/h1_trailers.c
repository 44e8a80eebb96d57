#include "http/h1_trailers.h"

_Static_assert(HEADER_COUNT <= 64, "header ids are bits below");

/* Framing, routing, credentials, and what tells how to take the message: it would come too late, or from nobody who may
 * say so. */
static bool is_refused_id(enum header_id id)
{
    const uint64_t ids =
        1ull << HEADER_HOST | 1ull << HEADER_CONNECTION | 1ull << HEADER_CONTENT_LENGTH |
        1ull << HEADER_TRANSFER_ENCODING | 1ull << HEADER_UPGRADE | 1ull << HEADER_EXPECT | 1ull << HEADER_TE |
        1ull << HEADER_TRAILER | 1ull << HEADER_KEEP_ALIVE | 1ull << HEADER_PROXY_CONNECTION | 1ull << HEADER_VIA |
        1ull << HEADER_FORWARDED | 1ull << HEADER_X_FORWARDED_FOR | 1ull << HEADER_X_FORWARDED_PROTO |
        1ull << HEADER_X_FORWARDED_HOST | 1ull << HEADER_X_FORWARDED_PORT | 1ull << HEADER_X_REQUEST_ID |
        1ull << HEADER_CONTENT_TYPE | 1ull << HEADER_CONTENT_ENCODING | 1ull << HEADER_COOKIE |
        1ull << HEADER_SET_COOKIE | 1ull << HEADER_AUTHORIZATION | 1ull << HEADER_CACHE_CONTROL | 1ull << HEADER_AGE |
        1ull << HEADER_DATE | 1ull << HEADER_EXPIRES | 1ull << HEADER_LOCATION | 1ull << HEADER_RETRY_AFTER |
        1ull << HEADER_VARY | 1ull << HEADER_MAX_FORWARDS | 1ull << HEADER_HTTP2_SETTINGS;
    return ids >> id & 1;
}

static bool is_refused_name(struct slice name)
{
    static const struct slice names[] = {
        SLICE("pragma"), SLICE("range"), SLICE("content-range"), SLICE("www-authenticate"), SLICE("warning"),
        SLICE("authentication-info"), SLICE("x-real-ip"),
    };
    static const struct slice families[] = { SLICE("proxy-"), SLICE("if-"), SLICE("x-forwarded-") };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_equal_nocase(name, names[i]))
            return true;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (name.len > families[i].len && slice_equal_nocase(slice_make(name.at, families[i].len), families[i]))
            return true;
    return false;
}

/* CGI and its kin make the same of "-" and "_": RFC 3875 section 4.1.18. */
static unsigned char folded(char c) { return c == '_' ? '-' : byte_lower((unsigned char)c); }

static bool is_same_name(struct slice a, struct slice b)
{
    for (size_t i = 0; a.len == b.len && i < a.len; i++)
        if (folded(a.at[i]) != folded(b.at[i]))
            return false;
    return a.len == b.len;
}

/* Names that are refused are shorter than this. */
enum { FOLDED_MAX = 64 };

static bool is_refused(struct slice name)
{
    char text[FOLDED_MAX];
    if (name.len < sizeof text && memchr(name.at, '_', name.len)) {
        for (size_t i = 0; i < name.len; i++)
            text[i] = (char)folded(name.at[i]);
        name.at = text;
    }
    return is_refused_id(header_id_of(name)) || is_refused_name(name);
}

/* What plugins have said about a field counts wherever it stands: who merges trailers with the head (RFC 9110 section
 * 6.5.1 lets those who know the field) must not take the sender's word instead. */
static bool is_decided(const struct headers *head, struct slice name)
{
    for (uint32_t i = 0; i < head->count; i++)
        if ((head->at[i].set || head->at[i].removed) && is_same_name(head->at[i].name, name))
            return true;
    return false;
}

struct slice h1_trailers_pick(struct slice lines, const struct headers *head, struct arena *a)
{
    if (!lines.len)
        return SLICE_NONE;
    char *out = arena_alloc(a, lines.len);
    size_t len = 0;
    while (lines.len) {
        const char *end = memchr(lines.at, '\n', lines.len), *colon = memchr(lines.at, ':', lines.len);
        if (!end || !colon || colon > end)
            break;                      /* only where they were not checked */
        size_t size = (size_t)(end + 1 - lines.at);
        struct slice name = slice_make(lines.at, (size_t)(colon - lines.at));
        if (!is_refused(name) && !is_decided(head, name)) {
            memcpy(out + len, lines.at, size);
            len += size;
        }
        lines = slice_from(lines, size);
    }
    return slice_make(out, len);
}

bool h1_trailers_wanted(const struct headers *headers)
{
    for (uint32_t i = 0; i < headers->count; i++)
        if (headers->at[i].id == HEADER_TE && slice_list_has(headers->at[i].value, SLICE_OF("trailers")))
            return true;
    return false;
}
