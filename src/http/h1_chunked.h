#pragma once
/* h1_chunked: the chunked transfer coding, RFC 9112 section 7.1.
 * Feed bytes in any split; body bytes come out as slices of the input. Nothing is copied or allocated.
 * Strict: a bare CR or LF, a chunk size over 15 digits, over-long extensions or trailers are RC_MALFORMED. Trailers
 * are checked, and kept where a buf is given for them. */
#include "base/buf.h"
#include "base/rc.h"
#include "base/slice.h"

struct chunked {            /* all zero is the start state */
    uint64_t left;          /* bytes of the current chunk still to come */
    struct buf *trailers;   /* gets their lines, each with its CR LF; NULL: they are passed over */
    uint16_t extra;         /* bytes of extensions and trailers that were not made up for by content */
    uint8_t digits;
    uint8_t state;          /* private to h1_chunked.c */
};

/* Takes bytes from the front of *in and sets *out to the next run of body bytes (a view into *in's bytes).
 * RC_OK     *out is not empty; call again
 * RC_AGAIN  *in is used up; call again with more
 * RC_END    the last chunk and its trailers have passed; *in is what follows them
 * else      the message is broken: answer 400 and close */
enum rc chunked_next(struct chunked *c, struct slice *in, struct slice *out);

/* Decodes all of in[0..len) to its own front: *body bytes of content there; *rest is what follows the last chunk.
 * RC_OK or RC_AGAIN: more to come (RC_AGAIN: no content in these bytes). RC_END: the body is complete. Else broken. */
enum rc chunked_compact(struct chunked *c, char *at, size_t len, size_t *body, struct slice *rest);
