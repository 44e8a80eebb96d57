#include "http/ws_deflate.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

enum { STEP = 4096, DEFAULT_MEMORY = 8, LEAST_BITS = 9, FAST = 1 };
enum { BETWEEN_BLOCKS = 128 };          /* in data_type, see inflate() in zlib.h */

/* What ends each flushed block, and is not sent: RFC 7692 section 7.2.1. */
static const struct slice tail = SLICE("\x00\x00\xff\xff");

void ws_zip_free(struct ws_zip *z)
{
    /* Both only say that a message was not at its end. */
    if (z->inflater)
        (void)inflateEnd(z->inflater);
    if (z->deflater)
        (void)deflateEnd(z->deflater);
    free(z->inflater);
    free(z->deflater);
    *z = (struct ws_zip){ 0 };
}

static struct z_stream_s *stream_new(void)
{
    struct z_stream_s *s = calloc(1, sizeof *s);
    if (!s)
        abort();                /* the kernel is out of memory */
    return s;
}

static void start_inflater(struct ws_zip *z)
{
    if (z->inflater) {
        (void)inflateReset(z->inflater);        /* fails for a stream that was never opened */
        return;
    }
    z->inflater = stream_new();
    /* The largest window reads what was written for any. */
    if (inflateInit2(z->inflater, -MAX_WBITS) != Z_OK)
        abort();
}

/* zlib's windows begin at 9 bits. Repeats of the last byte alone need no window: for a reader who has 8. */
static void start_deflater(struct ws_zip *z, uint8_t bits)
{
    if (z->deflater && z->deflater_bits == bits) {
        (void)deflateReset(z->deflater);        /* fails for a stream that was never opened */
        return;
    }
    if (z->deflater)
        (void)deflateEnd(z->deflater);
    else
        z->deflater = stream_new();
    int window = bits < LEAST_BITS ? LEAST_BITS : bits, strategy = bits < LEAST_BITS ? Z_RLE : Z_DEFAULT_STRATEGY;
    if (deflateInit2(z->deflater, FAST, Z_DEFLATED, -window, DEFAULT_MEMORY, strategy) != Z_OK)
        abort();
    z->deflater_bits = bits;
}

static void give(struct z_stream_s *s, struct slice in)
{
    assert(in.len <= UINT32_MAX);
    s->next_in = (Bytef *)(uintptr_t)in.at;     /* zlib only reads it */
    s->avail_in = (uInt)in.len;
}

/* Inflates what the stream was given. *left is how many bytes there may still be; one more is looked for, so that a
 * message of just the limit is told from a longer one. RC_OK, or RC_END when it ends with a block that says it is the
 * last. */
static enum rc inflate_some(struct z_stream_s *s, struct buf *out, uint64_t *left)
{
    for (;;) {
        unsigned char beyond;
        size_t room = *left < STEP ? (size_t)*left : STEP, spare = out->max - buf_len(out);
        char *at = room && spare ? buf_room(out, room < spare ? room : spare) : NULL;
        size_t given = !at ? 1 : room < spare ? room : spare;
        s->next_out = at ? (Bytef *)at : &beyond;
        s->avail_out = (uInt)given;
        int code = inflate(s, Z_BLOCK);
        size_t made = given - s->avail_out;
        if (made && !at)
            return RC_LIMIT;
        buf_added(out, made);
        *left -= made;
        if (code != Z_OK && code != Z_BUF_ERROR && code != Z_STREAM_END)
            return RC_MALFORMED;
        if (s->avail_in == 0 && code == Z_STREAM_END)
            return RC_END;
        if (s->avail_in == 0 && (s->avail_out || s->data_type & BETWEEN_BLOCKS))
            return RC_OK;
        if (code == Z_STREAM_END)
            (void)inflateReset(s);      /* others follow the last block, RFC 7692 section 7.2.3.4 */
    }
}

enum rc ws_inflate(struct ws_zip *z, struct slice in, struct buf *out, uint64_t max)
{
    if (in.len == 0)
        return RC_OK;
    start_inflater(z);
    give(z->inflater, in);
    enum rc rc = inflate_some(z->inflater, out, &max);
    if (rc != RC_OK && rc != RC_END)
        return rc;
    give(z->inflater, tail);
    rc = inflate_some(z->inflater, out, &max);
    if (rc == RC_END)
        return RC_OK;
    return rc == RC_OK && !(z->inflater->data_type & BETWEEN_BLOCKS) ? RC_MALFORMED : rc;
}

enum rc ws_deflate(struct ws_zip *z, struct slice in, unsigned bits, struct buf *out)
{
    assert(bits >= 8 && bits <= MAX_WBITS);
    start_deflater(z, (uint8_t)bits);
    struct z_stream_s *s = z->deflater;
    size_t before = buf_len(out);
    give(s, in);
    do {
        size_t spare = out->max - buf_len(out), room = spare < STEP ? spare : STEP;
        char *at = room ? buf_room(out, room) : NULL;
        if (!at)
            return RC_LIMIT;
        s->next_out = (Bytef *)at;
        s->avail_out = (uInt)room;
        /* Called again with no more to flush it adds an empty block, which does no harm. */
        int code = deflate(s, Z_SYNC_FLUSH);
        assert(code == Z_OK);
        buf_added(out, room - s->avail_out);
    } while (s->avail_out == 0);
    assert(buf_len(out) - before > tail.len);
    out->end -= (uint32_t)tail.len;
    return RC_OK;
}
