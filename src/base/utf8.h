#pragma once
/* utf8: is it UTF-8 (RFC 3629 section 4)? No surrogates, nothing above U+10FFFF, no longer form than is needed. Bytes
 * come in any split; the state between them is one byte. */
#include "base/slice.h"

/* The two a caller may ask for; those in between are within a character. */
enum utf8_state {
    UTF8_WHOLE = 0,         /* the start state, and that behind every whole character */
    UTF8_BROKEN = 6,        /* stays */
};

/* The state after `before` and these bytes. They are taken as if XORed with the eight bytes of `key`, over and over, as
 * they lie in memory; 0 takes them as they are. */
uint8_t utf8_next(uint8_t before, struct slice bytes, uint64_t key);

static inline bool utf8_is_valid(struct slice text) { return utf8_next(UTF8_WHOLE, text, 0) == UTF8_WHOLE; }

/* How many bytes of its front are whole characters, at most `max` bytes. */
size_t utf8_prefix(struct slice text, size_t max);
