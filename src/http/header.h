#pragma once
/* header: header fields in the order they came; names we know are small integers, found by index. */
#include "base/arena.h"
#include "base/rc.h"

/* Known names, in the spelling we use when we write them. */
#define HEADER_TABLE(X)                                                                                                \
    X(HOST, "Host")                                                                                                    \
    X(CONNECTION, "Connection")                                                                                        \
    X(CONTENT_LENGTH, "Content-Length")                                                                                \
    X(TRANSFER_ENCODING, "Transfer-Encoding")                                                                          \
    X(UPGRADE, "Upgrade")                                                                                              \
    X(EXPECT, "Expect")                                                                                                \
    X(TE, "TE")                                                                                                        \
    X(TRAILER, "Trailer")                                                                                              \
    X(KEEP_ALIVE, "Keep-Alive")                                                                                        \
    X(PROXY_CONNECTION, "Proxy-Connection")                                                                            \
    X(VIA, "Via")                                                                                                      \
    X(FORWARDED, "Forwarded")                                                                                          \
    X(X_FORWARDED_FOR, "X-Forwarded-For")                                                                              \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto")                                                                          \
    X(X_FORWARDED_HOST, "X-Forwarded-Host")                                                                            \
    X(X_FORWARDED_PORT, "X-Forwarded-Port")                                                                            \
    X(X_REQUEST_ID, "X-Request-Id")                                                                                    \
    X(X_REQUEST_TIMEOUT, "X-Request-Timeout")                                                                          \
    X(DATE, "Date")                                                                                                    \
    X(SERVER, "Server")                                                                                                \
    X(CONTENT_TYPE, "Content-Type")                                                                                    \
    X(CONTENT_ENCODING, "Content-Encoding")                                                                            \
    X(ACCEPT, "Accept")                                                                                                \
    X(ACCEPT_ENCODING, "Accept-Encoding")                                                                              \
    X(ACCEPT_LANGUAGE, "Accept-Language")                                                                              \
    X(USER_AGENT, "User-Agent")                                                                                        \
    X(REFERER, "Referer")                                                                                              \
    X(COOKIE, "Cookie")                                                                                                \
    X(SET_COOKIE, "Set-Cookie")                                                                                        \
    X(AUTHORIZATION, "Authorization")                                                                                  \
    X(CACHE_CONTROL, "Cache-Control")                                                                                  \
    X(ETAG, "ETag")                                                                                                    \
    X(ACCEPT_RANGES, "Accept-Ranges")                                                                                  \
    X(LAST_MODIFIED, "Last-Modified")                                                                                  \
    X(LOCATION, "Location")                                                                                            \
    X(ORIGIN, "Origin")                                                                                                \
    X(VARY, "Vary")                                                                                                    \
    X(ALLOW, "Allow")                                                                                                  \
    X(AGE, "Age")                                                                                                      \
    X(EXPIRES, "Expires")                                                                                              \
    X(RETRY_AFTER, "Retry-After")                                                                                      \
    X(MAX_FORWARDS, "Max-Forwards")                                                                                    \
    X(HTTP2_SETTINGS, "HTTP2-Settings")

#define HEADER_ENUM(id, name) HEADER_##id,
enum header_id { HEADER_UNKNOWN, HEADER_TABLE(HEADER_ENUM) HEADER_COUNT };
#undef HEADER_ENUM

/* Whether a field lies somewhere as "name: value" CR LF, so that it can be written on as it lies there. */
enum header_line {
    LINE_NONE,
    LINE_WHOLE,
    LINE_NEXT,                          /* and right behind the field before it in the list, where that one is a line */
};

struct header {
    struct slice name, value;
    uint16_t id;                        /* enum header_id */
    uint8_t line;                       /* enum header_line */
    bool skip;                          /* taken out: not written on */
    bool removed, set;                  /* by a plugin: it is not there any more; it is to stay as it is */
    uint16_t unused;
};

enum { HEADERS_ROOM = 16 };

struct headers {
    struct header *at;
    struct header *room;                /* HEADERS_ROOM fields that outlive the list, taken first; NULL: none */
    uint32_t count, cap;
    uint16_t first[HEADER_COUNT];       /* 1 + index of the first field of a name, or of any unknown one; 0: none */
};

/* HEADER_UNKNOWN when the name is not in the table. Ignores case. */
enum header_id header_id_of(struct slice name);
struct slice header_name(enum header_id id);

/* A list that is all zero begins in this room. */
static inline void headers_use(struct headers *h, struct header *room)
{
    h->at = h->room = room;
    h->cap = HEADERS_ROOM;
}

/* Empties a list, which has been used or is all zero, for a new message. */
static inline void headers_clear(struct headers *h)
{
    struct header *room = h->room;
    if (!h->count && h->at == room)     /* there may be room and no field yet */
        return;
    memset(h, 0, sizeof *h);
    if (room)
        headers_use(h, room);
}

void headers_grow(struct headers *h, struct arena *a);      /* private: the slow path of headers_add */

/* Private: for those who have found room, and count. */
static inline void header_set(struct header *field, enum header_id id, struct slice name, struct slice value,
                              enum header_line line)
{
    field->name = name;
    field->value = value;
    field->id = (uint16_t)id;
    field->line = (uint8_t)line;
    field->skip = field->removed = field->set = false;
    field->unused = 0;
}

/* Private: the field behind the last one, which there is room for. */
static inline void headers_put(struct headers *h, struct header *field, enum header_id id, struct slice name,
                               struct slice value, enum header_line line)
{
    h->count++;
    if (!h->first[id])
        h->first[id] = (uint16_t)h->count;
    header_set(field, id, name, value, line);
}

/* Views: name and value must live as long as the list. The limit on their number (below 65,000) is the parser's. */
static inline struct header *headers_add(struct headers *h, struct arena *a, enum header_id id, struct slice name,
                                         struct slice value)
{
    if (h->count == h->cap)
        headers_grow(h, a);
    struct header *field = &h->at[h->count];
    headers_put(h, field, id, name, value, LINE_NONE);
    return field;
}

/* n more can be put without a look. */
static inline void headers_reserve(struct headers *h, struct arena *a, uint32_t n)
{
    while (h->cap - h->count < n)
        headers_grow(h, a);
}

/* The first field of a known name, or NULL. */
static inline const struct header *headers_get(const struct headers *h, enum header_id id)
{
    return h->first[id] ? &h->at[h->first[id] - 1] : NULL;
}
static inline struct slice headers_value(const struct headers *h, enum header_id id)
{
    const struct header *field = headers_get(h, id);
    return field ? field->value : SLICE_NONE;
}

/* The first field of a known name that is written on, or NULL. */
struct header *headers_find(struct headers *h, enum header_id id);
/* No field of that name is written on. */
void headers_skip(struct headers *h, enum header_id id);

/* Names and values become copies in the arena. */
void headers_own(struct headers *h, struct arena *a);

/* tchar, RFC 9110 section 5.6.2. */
extern const uint8_t header_token_table[256];
bool header_is_token(struct slice s);
/* No CR, LF, NUL or other control byte but tab. */
bool header_is_value(struct slice s);
