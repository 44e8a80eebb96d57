#pragma once
/* fuzz: what the fuzz targets share. A property that does not hold is an assert. */
#include <assert.h>
#include <stdlib.h>

#include "http/h1_parse.h"
#include "http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PADDING = 64 };      /* what h1_parse may look at behind the end */

/* A copy that the sanitizer guards, followed by PADDING times `pad`. Freed by the caller. */
static inline struct slice fuzz_copy(const uint8_t *data, size_t size, int pad)
{
    char *at = malloc(size + PADDING);
    assert(at);
    if (size)
        memcpy(at, data, size);
    memset(at + size, pad, PADDING);
    return slice_make(at, size);
}
static inline void fuzz_free(struct slice s) { free((char *)(uintptr_t)s.at); }

typedef enum rc head_parse_fn(struct slice in, const struct h1_limits *limits, struct arena *a, struct h1_head *head,
                              struct headers *headers);

struct parsed {
    enum rc rc;
    struct arena arena;
    struct h1_head head;
    struct headers headers;
};

static inline void fuzz_parse(head_parse_fn *parse, struct slice in, struct parsed *out)
{
    static const struct h1_limits limits = { .head_bytes = 1 << 20, .headers = 1000, .uri_bytes = 8192 };
    *out = (struct parsed){ 0 };
    arena_init(&out->arena, 4096);
    headers_clear(&out->headers);
    out->rc = parse(in, &limits, &out->arena, &out->head, &out->headers);
}

/* What was read does not depend on what lies behind it, and the beginning of a good head is the beginning of a head. */
static inline void fuzz_check_parse(head_parse_fn *parse, const uint8_t *data, size_t size, const struct parsed *whole)
{
    for (int pad = 0; pad <= 'A'; pad += 'A') {
        struct slice in = fuzz_copy(data, size, pad);
        struct parsed again;
        fuzz_parse(parse, in, &again);
        assert(again.rc == whole->rc && again.headers.count == whole->headers.count);
        assert(again.rc != RC_OK || again.head.bytes == whole->head.bytes);
        arena_free(&again.arena);
        fuzz_free(in);
    }
    for (size_t len = 0; len < size && size < 400; len++) {
        struct slice in = fuzz_copy(data, len, '\r');
        struct parsed part;
        fuzz_parse(parse, in, &part);
        if (whole->rc != RC_OK || len < whole->head.bytes)
            assert(part.rc == RC_AGAIN || part.rc == whole->rc);
        arena_free(&part.arena);
        fuzz_free(in);
    }
}

/* Every field of `a` is in `b`, in the same order; `b` may have more around them. */
static inline void fuzz_check_fields(const struct headers *a, const struct headers *b)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < a->count; i++, k++) {
        while (k < b->count && !(slice_equal(a->at[i].name, b->at[k].name) &&
                                 slice_equal(a->at[i].value, b->at[k].value)))
            k++;
        assert(k < b->count);
        assert(a->at[i].id == b->at[k].id && header_is_token(b->at[k].name) && header_is_value(b->at[k].value));
    }
}
