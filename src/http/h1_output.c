#include "http/h1_output.h"

enum { CHUNK_BEFORE = 18, CHUNK_AFTER = 7 };

enum rc h1_output_write(struct h1_output *o, struct slice bytes)
{
    size_t n = 0;
    if (buf_len(&o->kept) == 0) {
        enum rc rc = stream_write(o->stream, bytes, &n);
        if (rc != RC_OK && rc != RC_AGAIN)
            return RC_RESET;
        *o->sent += n;
    }
    if (n == bytes.len)
        return RC_OK;
    return buf_append(&o->kept, slice_from(bytes, n)) == RC_OK ? RC_AGAIN : RC_RESET;
}

enum rc h1_output_write_kept(struct h1_output *o)
{
    while (buf_len(&o->kept)) {
        size_t n;
        if (!(o->stream->io.ready & IO_WRITABLE))
            return RC_AGAIN;
        enum rc rc = stream_write(o->stream, buf_slice(&o->kept), &n);
        if (rc == RC_AGAIN)
            return RC_AGAIN;
        if (rc != RC_OK)
            return RC_RESET;
        *o->sent += n;
        buf_consume(&o->kept, n);
    }
    return RC_OK;
}

/* The room around the body takes head and framing. */
static enum rc send_in_place(struct h1_output *o, struct slice head, const struct span *body, bool last)
{
    char *start = body->at, *end = body->at + body->len;
    if (o->chunked) {
        start = h1_write_chunk_size(start, body->len);
        memcpy(end, "\r\n0\r\n\r\n", 7);
        end += last ? 7 : 2;
    }
    if (head.len)
        memcpy(start -= head.len, head.at, head.len);
    return h1_output_write(o, slice_make(start, (size_t)(end - start)));
}

/* Head, framing and a body that is not too large are gathered behind the head. */
static enum rc send_gathered(struct h1_output *o, struct slice head, const struct span *body, bool last)
{
    struct out to = { o->render + head.len, o->render + RENDER_BYTES, false };
    bool chunk = o->chunked && body->len;
    enum rc rc = RC_OK;
    if (chunk) {
        char size[CHUNK_BEFORE], *at = h1_write_chunk_size(size + CHUNK_BEFORE, body->len);
        out_put(&to, slice_make(at, (size_t)(size + CHUNK_BEFORE - at)));
    }
    size_t after = CHUNK_AFTER + (last && o->trailers ? o->trailers->len : 0);
    if (body->len + after > (size_t)(to.end - to.at)) {
        if (to.at > o->render)
            rc = h1_output_write(o, h1_output_rendered(o, &to));
        if (rc == RC_OK || rc == RC_AGAIN)
            rc = h1_output_write(o, slice_make(body->at, body->len));
        if (rc != RC_OK && rc != RC_AGAIN)
            return rc;
        to.at = o->render;
    } else {
        out_put(&to, slice_make(body->at, body->len));
    }
    if (chunk)
        out_put(&to, SLICE_OF("\r\n"));
    if (o->chunked && last) {
        out_put(&to, SLICE_OF("0\r\n"));
        if (o->trailers)
            out_put(&to, *o->trailers);
        out_put(&to, SLICE_OF("\r\n"));
    }
    return to.at == o->render ? rc : h1_output_write(o, h1_output_rendered(o, &to));
}

enum rc h1_output_send(struct h1_output *o, struct slice head, const struct span *body, bool last)
{
    if (!body->len && !(last && o->chunked))
        return head.len ? h1_output_write(o, head) : RC_OK;
    size_t before = head.len + (o->chunked ? CHUNK_BEFORE : 0), after = o->chunked ? CHUNK_AFTER : 0;
    bool has_trailers = last && o->chunked && o->trailers && o->trailers->len;
    if (body->len && body->before >= before && body->after >= after && !has_trailers)
        return send_in_place(o, head, body, last);
    return send_gathered(o, head, body, last);
}

enum rc h1_output_body(struct h1_output *o, struct span body, bool last)
{
    if (!body.len && !(last && o->chunked))
        return buf_len(&o->kept) ? RC_AGAIN : RC_OK;
    return h1_output_send(o, slice_make(o->render, 0), &body, last);
}
