/* The chunked coding: whole, byte by byte and compacted in place it is the same body; what is coded again reads the
 * same. */
#include "fuzz.h"
#include "http/h1_chunked.h"

struct decoded { enum rc rc; char *body; size_t len, used; };

static struct decoded decode(const uint8_t *data, size_t size, size_t step)
{
    struct decoded d = { .rc = RC_AGAIN, .body = malloc(size + 1) };
    struct chunked c = { 0 };
    for (size_t i = 0; i < size && (d.rc == RC_AGAIN || d.rc == RC_OK); i += step) {
        struct slice in = slice_make((const char *)data + i, size - i < step ? size - i : step), run;
        size_t given = in.len;
        while ((d.rc = chunked_next(&c, &in, &run)) == RC_OK) {
            assert(run.len > 0 && d.len + run.len <= size);
            memcpy(d.body + d.len, run.at, run.len);
            d.len += run.len;
        }
        assert(d.rc != RC_AGAIN || in.len == 0);
        d.used += given - in.len;
    }
    return d;
}

static void check_same(const struct decoded *a, const struct decoded *b)
{
    assert(a->rc == b->rc && a->len == b->len && memcmp(a->body, b->body, a->len) == 0);
    assert(a->rc != RC_END || a->used == b->used);
}

static void check_compact(const uint8_t *data, size_t size, const struct decoded *whole)
{
    struct slice copy = fuzz_copy(data, size, 0), rest;
    struct chunked c = { 0 };
    size_t len;
    enum rc rc = chunked_compact(&c, (char *)(uintptr_t)copy.at, size, &len, &rest);
    assert(rc == whole->rc || (rc == RC_OK && whole->rc == RC_AGAIN));
    assert(len == whole->len && memcmp(copy.at, whole->body, len) == 0);
    assert(rc != RC_END || (rest.len == size - whole->used && slice_end(rest) == slice_end(copy)));
    fuzz_free(copy);
}

static void check_coded_again(const struct decoded *d)
{
    char *bytes = malloc(d->len + 32), *start;
    memcpy(bytes + 18, d->body, d->len);
    memcpy(bytes + 18 + d->len, d->len ? "\r\n0\r\n\r\n" : "\r\n", d->len ? 7 : 2);
    start = h1_write_chunk_size(bytes + 18, d->len);
    struct decoded again = decode((uint8_t *)start, (size_t)(bytes + 18 + d->len - start) + (d->len ? 7 : 2), 1 << 20);
    assert(again.rc == RC_END && again.len == d->len && memcmp(again.body, d->body, d->len) == 0);
    free(again.body);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoded whole = decode(data, size, size + 1), bytes = decode(data, size, 1), sevens = decode(data, size, 7);
    check_same(&whole, &bytes);
    check_same(&whole, &sevens);
    check_compact(data, size, &whole);
    check_coded_again(&whole);
    free(whole.body);
    free(bytes.body);
    free(sevens.body);
    return 0;
}
