#include "http/h1_write.h"

__attribute__((noinline)) void out_number(struct out *o, uint64_t n)
{
    char digits[20];
    out_put(o, slice_make(digits, format_u64(digits, n)));
}

/* Framing and connection fields belong to a connection, not to the message: each side writes its own. Fields that are
 * passed on as they came lie side by side in the head: a run of them is one copy. */
static void put_fields(struct out *o, const struct headers *headers)
{
    const struct header *h = headers->at, *end = h + headers->count;
    while (h < end) {
        const struct header *start = h++;
        if (start->skip)
            continue;
        if (start->line == LINE_NONE) {
            out_field(o, start->name, start->value);
            continue;
        }
        while (h < end && h->line == LINE_NEXT && !h->skip)
            h++;
        const char *stop = slice_end(h[-1].value) + 2;
        out_put(o, slice_make(start->name.at, (size_t)(stop - start->name.at)));
    }
}

/* The field that came with a message of known length is passed on as it is; where there is none, it is made. */
static void put_length(struct out *o, const struct headers *headers, uint64_t bytes)
{
    const struct header *sent = headers_get(headers, HEADER_CONTENT_LENGTH);
    if (sent && !sent->skip)
        return;
    out_put(o, SLICE_OF("Content-Length: "));
    out_number(o, bytes);
    out_put(o, SLICE_OF("\r\n"));
}

/* Room is there, and s.at is not NULL. */
static inline char *put(char *at, struct slice s)
{
    memcpy(at, s.at, s.len);
    return at + s.len;
}

/* The request line, and Host: RFC 9110 section 7.2 wants it first. */
static void put_request_line(struct out *o, const struct request *r)
{
    const size_t fixed = sizeof " ? HTTP/1.1\r\nHost: \r\n";
    if ((size_t)(o->end - o->at) < r->method_text.len + r->path.len + r->query.len + r->upstream_host.len + fixed) {
        o->full = true;
        return;
    }
    char *at = put(o->at, r->method_text);
    *at++ = ' ';
    at = put(at, r->path);
    if (r->query.at) {
        *at++ = '?';
        at = put(at, r->query);
    }
    at = put(at, SLICE_OF(" HTTP/1.1\r\nHost: "));
    if (r->upstream_host.len)
        at = put(at, r->upstream_host);
    o->at = put(at, SLICE_OF("\r\n"));
}

void h1_write_request(struct out *o, const struct request *r)
{
    put_request_line(o, r);
    put_fields(o, &r->headers);
    if (r->sent_body == BODY_SIZED)
        put_length(o, &r->headers, r->sent_body_bytes);
    else if (r->sent_body == BODY_STREAMED)
        out_put(o, SLICE_OF("Transfer-Encoding: chunked\r\n"));
    if (r->wants_upgrade) {
        out_put(o, SLICE_OF("Connection: Upgrade\r\n"));
        out_field(o, SLICE_OF("Upgrade"), headers_value(&r->headers, HEADER_UPGRADE));
    } else if (r->takes_trailers) {
        out_put(o, SLICE_OF("TE: trailers\r\nConnection: TE\r\n"));      /* RFC 9110 section 10.1.4 */
    }
    out_put(o, SLICE_OF("\r\n"));
}

/* A status has three digits, whoever has set it. */
static void put_status(struct out *o, const struct response *p)
{
    struct slice reason = p->reason.len ? p->reason : status_reason(p->status);
    unsigned status = (unsigned)p->status;
    if (status == 200 && (!p->reason.len || slice_equal(p->reason, SLICE_OF("OK")))) {
        out_put(o, SLICE_OF("HTTP/1.1 200 OK\r\n"));
        return;
    }
    char line[] = { 'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', (char)('0' + status / 100),
                    (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' ' };
    out_put(o, slice_make(line, sizeof line));
    out_put(o, reason);
    out_put(o, SLICE_OF("\r\n"));
}

void h1_write_response(struct out *o, const struct response *p, bool chunked, enum connection_word connection,
                       struct slice date)
{
    put_status(o, p);
    put_fields(o, &p->headers);
    if (!headers_get(&p->headers, HEADER_DATE) && p->status >= 200)
        out_field(o, SLICE_OF("Date"), date);
    if (chunked)
        out_put(o, SLICE_OF("Transfer-Encoding: chunked\r\n"));
    else if (p->body == BODY_SIZED)
        put_length(o, &p->headers, p->body_bytes);
    switch (connection) {
    case CONNECTION_NONE: break;
    case CONNECTION_CLOSE: out_put(o, SLICE_OF("Connection: close\r\n")); break;
    case CONNECTION_KEEP_ALIVE: out_put(o, SLICE_OF("Connection: keep-alive\r\n")); break;
    case CONNECTION_UPGRADE:
        out_put(o, SLICE_OF("Connection: Upgrade\r\n"));
        out_field(o, SLICE_OF("Upgrade"), headers_value(&p->headers, HEADER_UPGRADE));
        break;
    }
    out_put(o, SLICE_OF("\r\n"));
}

char *h1_write_chunk_size(char *end, uint64_t size)
{
    char digits[16];
    size_t n = format_hex(digits, size);
    char *at = end - n - 2;
    memcpy(at, digits, n);
    memcpy(at + n, "\r\n", 2);
    return at;
}
