#pragma once
/* h1_output: what a connection writes: heads and bodies framed as RFC 9112 has them, and what the socket did not take.
 * Both ends, front_h1 and up_h1, write through it. */
#include "base/buf.h"
#include "http/h1_write.h"
#include "net/stream.h"

struct h1_output {
    struct stream *stream;
    char *render;                       /* the loop's: RENDER_BYTES */
    uint64_t *sent;                     /* counts the bytes that the socket takes */
    struct buf kept;                    /* bytes it did not take */
    const struct slice *trailers;       /* lines to go behind the last chunk, as they are by then; NULL: none */
    bool chunked;                       /* the body in hand is written in chunks, RFC 9112 section 7.1 */
};

enum { H1_KEPT_MAX = SCRATCH_BEFORE + SCRATCH_BYTES + RENDER_BYTES + 4096 };   /* what one send may leave, and a head */

/* *o is all zero. */
static inline void h1_output_init(struct h1_output *o, struct stream *s, struct loop *loop, uint64_t *sent)
{
    o->stream = s;
    o->render = loop->render;
    o->sent = sent;
    o->kept.max = H1_KEPT_MAX;
}

/* Where a head is rendered: the front of the loop's buffer. */
static inline struct out h1_output_head(const struct h1_output *o)
{
    return (struct out){ o->render, o->render + RENDER_BYTES, false };
}
static inline struct slice h1_output_rendered(const struct h1_output *o, const struct out *head)
{
    return slice_make(o->render, (size_t)(head->at - o->render));
}

/* RC_OK: the socket took it; RC_AGAIN: the rest is kept, bring no more before a wake-up; RC_RESET: the peer is gone. */
enum rc h1_output_write(struct h1_output *o, struct slice bytes);
/* A rendered head (it may be empty), the next bytes of a body and their framing: in one write where there is room
 * around the body. last: the body ends with them. As h1_output_write. */
enum rc h1_output_send(struct h1_output *o, struct slice head, const struct span *body, bool last);
/* The same for a body alone; nothing is written where nothing has to be. */
enum rc h1_output_body(struct h1_output *o, struct span body, bool last);
enum rc h1_output_write_kept(struct h1_output *o);      /* private: the slow path of h1_output_flush */
/* Writes what was kept: RC_OK when nothing is left, RC_AGAIN, RC_RESET. */
static inline enum rc h1_output_flush(struct h1_output *o)
{
    return buf_len(&o->kept) ? h1_output_write_kept(o) : RC_OK;
}
