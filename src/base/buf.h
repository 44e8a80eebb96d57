#pragma once
/* buf: growable bytes with a ceiling, so that no peer decides how much memory it takes. Bytes are appended at the end
 * and consumed from the front. Empty, it holds no memory. */
#include "base/rc.h"
#include "base/slice.h"

struct buf {                /* all zero, but for max, is the empty buf */
    char *at;
    uint32_t start, end;    /* the bytes are at[start .. end) */
    uint32_t cap;
    uint32_t max;           /* bytes it may hold */
};

void buf_init(struct buf *b, uint32_t max);
void buf_free(struct buf *b);                   /* private: the slow path of buf_reset */
/* Gives the memory back; the buf is empty and usable again. */
static inline void buf_reset(struct buf *b)
{
    if (b->at)
        buf_free(b);
}

static inline size_t buf_len(const struct buf *b) { return b->end - b->start; }
static inline struct slice buf_slice(const struct buf *b) { return slice_make(b->at + b->start, buf_len(b)); }

/* RC_LIMIT when it would hold more than max; then nothing was appended. */
enum rc buf_append(struct buf *b, struct slice s);

/* Makes room for n bytes behind the end and gives the place, or NULL at the limit; buf_added says how many came. */
char *buf_room(struct buf *b, size_t n);
static inline void buf_added(struct buf *b, size_t n) { b->end += (uint32_t)n; }

/* Drops n bytes from the front; the memory goes back when it is empty. */
void buf_consume(struct buf *b, size_t n);
