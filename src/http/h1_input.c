#include "http/h1_input.h"

void h1_input_reset(struct h1_input *i)
{
    buf_reset(&i->aside);
    i->ahead = (struct span){ 0 };
    i->taken = 0;
}

enum rc h1_input_next_of(struct h1_input *i, size_t most, struct span *out)
{
    h1_input_release(i);
    if (i->ahead.len) {
        *out = i->ahead;
        i->ahead = (struct span){ 0 };
        return RC_OK;
    }
    if (buf_len(&i->aside)) {
        struct buf *b = &i->aside;
        *out = (struct span){ b->at + b->start, buf_len(b), b->start, b->cap - b->end };
        i->taken = (uint32_t)out->len;
        return RC_OK;
    }
    if (!(i->stream->io.ready & IO_READABLE))
        return RC_AGAIN;
    enum rc rc = stream_read(i->stream, i->scratch, most, &out->len);
    if (rc != RC_OK)
        return rc;
    out->at = i->scratch;
    out->before = SCRATCH_BEFORE;
    out->after = SCRATCH_BYTES - out->len + SCRATCH_AFTER;
    return RC_OK;
}

enum rc h1_input_read_more(struct h1_input *i, struct slice *fresh)
{
    size_t n;
    if (!(i->stream->io.ready & IO_READABLE))
        return RC_AGAIN;
    enum rc rc = stream_read(i->stream, i->scratch, SCRATCH_BYTES, &n);
    if (rc != RC_OK)
        return rc;
    *fresh = slice_make(i->scratch, n);
    return buf_append(&i->aside, *fresh);
}

enum rc h1_input_put_aside(struct h1_input *i)
{
    struct slice bytes = slice_make(i->ahead.at, i->ahead.len);
    i->ahead = (struct span){ 0 };
    return buf_append(&i->aside, bytes);
}

struct slice h1_input_detach(struct h1_input *i, struct arena *a)
{
    h1_input_release(i);
    (void)h1_input_settle(i);           /* one scratch at most was read ahead: it fits */
    struct slice all = arena_copy(a, buf_slice(&i->aside));
    h1_input_reset(i);
    return all;
}
