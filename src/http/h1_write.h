#pragma once
/* h1_write: message heads to bytes, RFC 9112. What is written was checked when it came in or was made by us. */
#include "http/request.h"

struct out {                    /* where to write; a write past end only sets full */
    char *at, *end;
    bool full;
};

static inline void out_put(struct out *o, struct slice s)
{
    if ((size_t)(o->end - o->at) < s.len) {
        o->full = true;
        return;
    }
    if (s.len)
        memcpy(o->at, s.at, s.len);
    o->at += s.len;
}
static inline void out_field(struct out *o, struct slice name, struct slice value)
{
    if ((size_t)(o->end - o->at) < name.len + value.len + 4) {
        o->full = true;
        return;
    }
    memcpy(o->at, name.at, name.len);
    memcpy(o->at += name.len, ": ", 2);
    if (value.len)
        memcpy(o->at + 2, value.at, value.len);
    memcpy(o->at += 2 + value.len, "\r\n", 2);
    o->at += 2;
}
void out_number(struct out *o, uint64_t n);

/* Request head for an HTTP/1.1 upstream: target from path and query, Host from upstream_host, framing from body. */
void h1_write_request(struct out *o, const struct request *r);

enum connection_word { CONNECTION_NONE, CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, CONNECTION_UPGRADE };

/* Response head. chunked: the body follows in chunks. Content-Length is written for BODY_SIZED. date is used when the
 * list has none. */
void h1_write_response(struct out *o, const struct response *p, bool chunked, enum connection_word connection,
                       struct slice date);

/* "<hex length>\r\n" so that it ends at `end`; gives its first byte. 18 bytes must be free before end. */
char *h1_write_chunk_size(char *end, uint64_t size);
