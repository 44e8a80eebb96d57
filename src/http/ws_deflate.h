#pragma once
/* ws_deflate: compressed messages of WebSockets, RFC 7692 section 7.2, each by itself (no context takeover). A loop has
 * one struct ws_zip for all its connections, which hold no memory of zlib's: it is opened by the first message and
 * starts anew with each. */
#include "base/buf.h"
#include "base/rc.h"
#include "base/slice.h"

struct ws_zip {             /* all zero is the start state */
    struct z_stream_s *inflater, *deflater;
    uint8_t deflater_bits;  /* the window that the deflater has; private */
};

void ws_zip_free(struct ws_zip *z);

/* Appends the content of a message, whose payload (of all its frames, unmasked) is `in`.
 * RC_LIMIT      it has more than `max` bytes, or than the buf may hold: found as soon as it is so
 * RC_MALFORMED  it is not compressed, or cut off
 * What was appended before one of these is to be dropped by the caller. */
enum rc ws_inflate(struct ws_zip *z, struct slice in, struct buf *out, uint64_t max);

/* Appends the compressed payload for a message. `bits` (8 to 15) is the largest window that the reader has agreed to.
 * RC_LIMIT when the buf is full; what was appended is to be dropped by the caller. */
enum rc ws_deflate(struct ws_zip *z, struct slice in, unsigned bits, struct buf *out);
