#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>

enum { PADDING = 64 };      /* the head parser reads whole vectors past the end */

void buf_init(struct buf *b, uint32_t max) { *b = (struct buf){ .max = max }; }

void buf_free(struct buf *b)
{
    free(b->at);
    *b = (struct buf){ .max = b->max };
}

char *buf_room(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (n > b->max || len > b->max - n)
        return NULL;
    if (b->cap - b->end >= n)
        return b->at + b->end;
    if (b->start) {
        memmove(b->at, b->at + b->start, len);
        b->start = 0;
        b->end = (uint32_t)len;
    }
    if (b->cap - b->end < n) {
        size_t cap = b->cap ? b->cap : 1024;
        while (cap < len + n)
            cap *= 2;
        if (cap > b->max)
            cap = b->max;
        char *at = realloc(b->at, cap + PADDING);
        if (!at)
            abort();        /* all that feeds a buf is limited: the kernel is out of memory */
        b->at = at;
        b->cap = (uint32_t)cap;
    }
    return b->at + b->end;
}

enum rc buf_append(struct buf *b, struct slice s)
{
    if (s.len == 0)
        return RC_OK;
    char *at = buf_room(b, s.len);
    if (!at)
        return RC_LIMIT;
    memcpy(at, s.at, s.len);
    buf_added(b, s.len);
    return RC_OK;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->start += (uint32_t)n;
    if (b->start == b->end)
        buf_reset(b);
}
