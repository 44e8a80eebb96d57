#pragma once
/* response: where a response ends, and whether it is the one expected. Pure: bytes in, no I/O.
 * Looks at the status, Content-Length, Transfer-Encoding and Connection, and at nothing else: a generator that parses
 * more than it must cannot keep up with what it measures. It is not a strict parser.
 * After a 101, a response is one WebSocket message (websocket.h). */
#include "websocket.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESPONSE_HEAD_MAX 8192

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_BODY,          /* left bytes, then done */
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK,         /* left bytes, the CRLF behind them among them */
    RESPONSE_TRAILER,
    RESPONSE_FRAME_HEAD,
    RESPONSE_DONE,
    RESPONSE_BROKEN,        /* no length, a bad chunk size, an endless head, a frame that is no whole message */
};

struct response {           /* response_reset before first use, with saved NULL */
    enum response_state state;
    int status;
    bool close;             /* the server announced that it closes */
    uint64_t left;
    uint64_t body_bytes;
    char *saved;            /* the beginning of a head that came in pieces; allocated when that happens */
    size_t saved_bytes;
    bool in_extension;      /* of a chunk-size line */
    unsigned line_bytes;    /* of the trailer line so far */
    uint8_t frame[WEBSOCKET_HEAD_MAX];
    unsigned frame_bytes;   /* of the head of the frame so far */
};

static inline void response_reset(struct response *r)
{
    r->state = RESPONSE_HEAD;
    r->status = 0;
    r->close = false;
    r->left = r->body_bytes = 0;
    r->saved_bytes = 0;
    r->in_extension = false;
    r->line_bytes = 0;
    r->frame_bytes = 0;
}

/* What comes next is a message; the status stays that of the handshake. */
static inline void response_expect_message(struct response *r)
{
    int status = r->status;
    response_reset(r);
    r->status = status;
    r->state = RESPONSE_FRAME_HEAD;
}

static inline bool response_line_is(const char *line, const char *end, const char *name, size_t len)
{
    return (size_t)(end - line) > len && strncasecmp(line, name, len) == 0;
}

/* One header line, without its CRLF. */
static inline void response_header(struct response *r, const char *line, const char *end)
{
    switch (line[0] | 0x20) {
    case 'c':
        if (response_line_is(line, end, "content-length:", 15)) {
            r->left = strtoull(line + 15, NULL, 10);
            r->state = RESPONSE_BODY;
        } else if (response_line_is(line, end, "connection:", 11) && memmem(line, (size_t)(end - line), "close", 5)) {
            r->close = true;
        }
        break;
    case 't':
        if (response_line_is(line, end, "transfer-encoding:", 18))
            r->state = RESPONSE_CHUNK_SIZE;
        break;
    default:
        break;
    }
}

/* A whole head, with the empty line. */
static inline void response_head(struct response *r, const char *head, size_t len)
{
    const char *end = head + len;
    r->status = len > 12 ? atoi(head + 9) : 0;
    const char *line = memchr(head, '\n', len);
    r->state = RESPONSE_BROKEN;                     /* until a header gives the length */
    while (line && ++line < end && *line != '\r') {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (!next)
            break;
        response_header(r, line, next - 1);
        line = next;
    }
    r->body_bytes = r->state == RESPONSE_BODY ? r->left : 0;
    if ((r->state == RESPONSE_BODY && r->left == 0) || r->status == 101)
        r->state = RESPONSE_DONE;
}

/* A head that comes in pieces is gathered; returns the bytes taken. */
static inline size_t response_gather(struct response *r, const char *data, size_t len)
{
    if (!r->saved && !(r->saved = malloc(RESPONSE_HEAD_MAX)))
        abort();
    size_t before = r->saved_bytes, room = RESPONSE_HEAD_MAX - before;
    size_t taken = len < room ? len : room;
    memcpy(r->saved + before, data, taken);
    r->saved_bytes += taken;
    const char *end = memmem(r->saved, r->saved_bytes, "\r\n\r\n", 4);
    if (end) {
        size_t head = (size_t)(end - r->saved) + 4;
        response_head(r, r->saved, head);
        return head - before;
    }
    if (r->saved_bytes == RESPONSE_HEAD_MAX)
        r->state = RESPONSE_BROKEN;
    return taken;
}

static inline size_t response_take_head(struct response *r, const char *data, size_t len)
{
    const char *end = r->saved_bytes ? NULL : memmem(data, len, "\r\n\r\n", 4);
    if (!end)
        return response_gather(r, data, len);
    size_t head = (size_t)(end - data) + 4;
    response_head(r, data, head);
    return head;
}

static inline int response_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk-size line; the chunk's own CRLF is counted with the chunk. */
static inline void response_chunk_size(struct response *r, char c)
{
    if (c == '\n') {
        r->state = r->left == 0 ? RESPONSE_TRAILER : RESPONSE_CHUNK;
        r->body_bytes += r->left;
        r->left += 2;
        r->in_extension = false;
    } else if (c == ';') {
        r->in_extension = true;
    } else if (!r->in_extension && c != '\r') {
        int digit = response_hex(c);
        r->left = r->left * 16 + (uint64_t)digit;
        if (digit < 0)
            r->state = RESPONSE_BROKEN;
    }
}

/* One byte of the trailers: an empty line ends them. */
static inline void response_trailer(struct response *r, char c)
{
    if (c == '\n' && r->line_bytes == 0)
        r->state = RESPONSE_DONE;
    else if (c == '\n')
        r->line_bytes = 0;
    else if (c != '\r')
        r->line_bytes++;
}

/* One byte of the head of a frame. */
static inline void response_frame_head(struct response *r, char c)
{
    r->frame[r->frame_bytes++] = (uint8_t)c;
    size_t head = websocket_head_bytes(r->frame, r->frame_bytes);
    if (r->frame_bytes < head)
        return;
    r->left = r->body_bytes = websocket_payload_bytes(r->frame);
    if (r->frame[0] != (WEBSOCKET_FIN | WEBSOCKET_BINARY) || (r->frame[1] & WEBSOCKET_MASKED))
        r->state = RESPONSE_BROKEN;
    else
        r->state = r->left ? RESPONSE_BODY : RESPONSE_DONE;
}

/* Body bytes that the caller has thrown away unseen, at most left. */
static inline void response_skip(struct response *r, uint64_t bytes)
{
    r->left -= bytes;
    if (r->left == 0)
        r->state = r->state == RESPONSE_CHUNK ? RESPONSE_CHUNK_SIZE : RESPONSE_DONE;
}

/* Takes bytes up to the end of the response at most; returns how many. */
static inline size_t response_take(struct response *r, const char *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        switch (r->state) {
        case RESPONSE_HEAD:
            at += response_take_head(r, data + at, len - at);
            break;
        case RESPONSE_BODY:
        case RESPONSE_CHUNK: {
            uint64_t bytes = len - at < r->left ? len - at : r->left;
            response_skip(r, bytes);
            at += bytes;
            break;
        }
        case RESPONSE_CHUNK_SIZE:
            response_chunk_size(r, data[at++]);
            break;
        case RESPONSE_TRAILER:
            response_trailer(r, data[at++]);
            break;
        case RESPONSE_FRAME_HEAD:
            response_frame_head(r, data[at++]);
            break;
        case RESPONSE_DONE:
        case RESPONSE_BROKEN:
            return at;
        }
    }
    return at;
}
