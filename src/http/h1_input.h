#pragma once
/* h1_input: what a connection has read, given out as spans: first what is left of the last read, then what was put
 * aside, then the socket. Both ends, front_h1 and up_h1, read through it. A span holds until the next call, or until
 * another connection of the loop reads. */
#include "base/buf.h"
#include "http/request.h"
#include "net/stream.h"

struct h1_input {
    struct buf aside;                   /* bytes put aside; its ceiling is the owner's */
    struct span ahead;                  /* bytes in the scratch, unused; only within one callback */
    uint32_t taken;                     /* bytes of `aside` given out and still in use */
    struct stream *stream;
    char *scratch;                      /* the loop's */
};

/* *i is all zero. max: bytes that may be put aside, SCRATCH_BYTES at least. */
static inline void h1_input_init(struct h1_input *i, struct stream *s, struct loop *loop, uint32_t max)
{
    i->stream = s;
    i->scratch = loop->scratch;
    i->aside.max = max;
}
/* Forgets all of it. */
void h1_input_reset(struct h1_input *i);

/* There is something to give out without a read. */
static inline bool h1_input_waits(const struct h1_input *i) { return i->ahead.len || buf_len(&i->aside) > i->taken; }

/* The next bytes: RC_OK, or what stream_read says: RC_AGAIN, RC_EOF, RC_RESET. A read takes `most` bytes at most, of
 * SCRATCH_BYTES. */
enum rc h1_input_next_of(struct h1_input *i, size_t most, struct span *out);
static inline enum rc h1_input_next(struct h1_input *i, struct span *out)
{
    return h1_input_next_of(i, SCRATCH_BYTES, out);
}
/* Reads behind what was put aside, for more of something that came in pieces. RC_LIMIT: over the ceiling; else as
 * above. *fresh: what came, a view of the scratch. */
enum rc h1_input_read_more(struct h1_input *i, struct slice *fresh);
/* Takes the last n bytes of `in`, which came from h1_input_next, back. They may lie in the scratch still. */
static inline void h1_input_give_back(struct h1_input *i, const struct span *in, size_t n)
{
    if (i->taken)
        i->taken -= (uint32_t)n;
    else if (n)
        i->ahead = (struct span){ in->at + in->len - n, n, in->before + in->len - n, in->after };
}
/* Frees what was given out of the bytes put aside: the view is not used any more. */
static inline void h1_input_release(struct h1_input *i)
{
    if (i->taken)
        buf_consume(&i->aside, i->taken);
    i->taken = 0;
}
enum rc h1_input_put_aside(struct h1_input *i);         /* private: the slow path of h1_input_settle */
/* Puts what lies in the scratch aside, before the callback returns or somebody else reads. RC_LIMIT: over the ceiling,
 * and lost. */
static inline enum rc h1_input_settle(struct h1_input *i) { return i->ahead.len ? h1_input_put_aside(i) : RC_OK; }
/* All that was not given out, as a copy in the arena; nothing is left. */
struct slice h1_input_detach(struct h1_input *i, struct arena *a);
