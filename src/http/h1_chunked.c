#include "http/h1_chunked.h"

#include "http/header.h"

enum { EXTRA_MAX = 4096 };

enum {
    SIZE_FIRST, SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF,
    TRAILER_START, TRAILER_NAME, TRAILER_VALUE, TRAILER_LF, END_LF, DONE,
};

static int hex_digit(unsigned char c)
{
    if ((unsigned)c - '0' < 10)
        return c - '0';
    c = byte_lower(c);
    return (unsigned)c - 'a' < 6 ? c - 'a' + 10 : -1;
}

static bool is_text(unsigned char c) { return (c >= ' ' && c != 0x7f) || c == '\t'; }

/* One byte of framing. RC_AGAIN: go on; RC_END after the last. */
static enum rc step(struct chunked *c, unsigned char byte)
{
    int digit;
    switch (c->state) {
    case SIZE_FIRST:
        c->left = 0;
        c->digits = 0;
        c->state = SIZE;
        if (hex_digit(byte) < 0)
            return RC_MALFORMED;
        /* fall through */
    case SIZE:
        digit = hex_digit(byte);
        if (digit >= 0) {
            if (++c->digits > 15)
                return RC_MALFORMED;
            c->left = c->left << 4 | (unsigned)digit;
            return RC_AGAIN;
        }
        if (byte == '\r') {
            c->state = SIZE_LF;
            return RC_AGAIN;
        }
        /* RFC 9112 section 7.1.1: extensions begin with ';', maybe after bad white space, which we refuse. */
        c->state = EXTENSION;
        return byte == ';' ? RC_AGAIN : RC_MALFORMED;
    case EXTENSION:
        if (byte == '\r') {
            c->state = SIZE_LF;
            return RC_AGAIN;
        }
        return is_text(byte) && ++c->extra <= EXTRA_MAX ? RC_AGAIN : RC_MALFORMED;
    case SIZE_LF:
        /* Each byte of content pays for one of extensions: long streams that sign their chunks are fine. */
        c->extra -= c->left < c->extra ? (uint16_t)c->left : c->extra;
        c->state = c->left ? DATA : TRAILER_START;
        return byte == '\n' ? RC_AGAIN : RC_MALFORMED;
    case DATA_CR:
        c->state = DATA_LF;
        return byte == '\r' ? RC_AGAIN : RC_MALFORMED;
    case DATA_LF:
        c->state = SIZE_FIRST;
        return byte == '\n' ? RC_AGAIN : RC_MALFORMED;
    case TRAILER_START:
        if (byte == '\r') {
            c->state = END_LF;
            return RC_AGAIN;
        }
        c->state = TRAILER_NAME;
        return header_token_table[byte] && ++c->extra <= EXTRA_MAX ? RC_AGAIN : RC_MALFORMED;
    case TRAILER_NAME:
        if (byte == ':') {
            c->state = TRAILER_VALUE;
            return RC_AGAIN;
        }
        return header_token_table[byte] && ++c->extra <= EXTRA_MAX ? RC_AGAIN : RC_MALFORMED;
    case TRAILER_VALUE:
        if (byte == '\r') {
            c->state = TRAILER_LF;
            return RC_AGAIN;
        }
        return is_text(byte) && ++c->extra <= EXTRA_MAX ? RC_AGAIN : RC_MALFORMED;
    case TRAILER_LF:
        c->state = TRAILER_START;
        return byte == '\n' ? RC_AGAIN : RC_MALFORMED;
    case END_LF:
        c->state = DONE;
        return byte == '\n' ? RC_END : RC_MALFORMED;
    default: return RC_END;
    }
}

/* Bytes of trailer lines: all behind the last chunk but the empty line at the end. */
static enum rc keep_trailer(const struct chunked *c, const char *byte)
{
    bool is_line = c->state >= TRAILER_START && c->state <= TRAILER_LF;
    return is_line ? buf_append(c->trailers, slice_make(byte, 1)) : RC_OK;
}

enum rc chunked_next(struct chunked *c, struct slice *in, struct slice *out)
{
    *out = SLICE_NONE;
    if (c->state == DONE)
        return RC_END;
    while (in->len) {
        if (c->state == DATA) {
            size_t n = c->left < in->len ? (size_t)c->left : in->len;
            *out = slice_make(in->at, n);
            *in = slice_from(*in, n);
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
            return RC_OK;
        }
        bool is_behind = c->state >= TRAILER_START;
        enum rc rc = step(c, (unsigned char)*in->at);
        if (is_behind && c->trailers && rc == RC_AGAIN && keep_trailer(c, in->at) != RC_OK)
            return RC_MALFORMED;
        *in = slice_from(*in, 1);
        if (rc != RC_AGAIN)
            return rc;
    }
    return RC_AGAIN;
}

enum rc chunked_compact(struct chunked *c, char *at, size_t len, size_t *body, struct slice *rest)
{
    struct slice run;
    enum rc rc;
    *rest = slice_make(at, len);
    *body = 0;
    while ((rc = chunked_next(c, rest, &run)) == RC_OK) {
        if (run.at != at + *body)
            memmove(at + *body, run.at, run.len);
        *body += run.len;
    }
    return rc == RC_AGAIN && *body ? RC_OK : rc;
}
