/* Compressed messages: whatever the bytes, no more comes out than may; a stream that has seen nonsense reads the next
 * message; what is compressed reads the same. The first byte of the input says how much may come out. */
#include "fuzz.h"
#include "http/ws_deflate.h"

static void check_again(struct ws_zip *z, struct slice text, unsigned bits)
{
    struct buf packed, plain;
    buf_init(&packed, 1 << 24);
    buf_init(&plain, 1 << 24);
    enum rc rc = ws_deflate(z, text, bits, &packed);
    assert(rc == RC_OK);
    rc = ws_inflate(z, buf_slice(&packed), &plain, text.len);
    assert(rc == RC_OK && slice_equal(buf_slice(&plain), text));
    buf_reset(&plain);
    buf_reset(&packed);
}

static enum rc inflate_to(struct ws_zip *z, struct slice in, struct buf *out, uint64_t max)
{
    buf_init(out, 1 << 20);
    enum rc rc = ws_inflate(z, in, out, max);
    assert(buf_len(out) <= max && (rc == RC_OK || rc == RC_LIMIT || rc == RC_MALFORMED));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static struct ws_zip z;
    uint64_t max = (uint64_t)data[0] * data[0];
    struct slice in = fuzz_copy(data + 1, size - 1, 0);
    struct buf small, large;
    enum rc rc = inflate_to(&z, in, &small, max), full = inflate_to(&z, in, &large, 1 << 16);
    /* A bound says no more than that there is one: it cuts off the end of the same content. */
    assert(rc == RC_LIMIT || rc == full);
    assert(slice_has_prefix(buf_slice(&large), buf_slice(&small)));
    buf_reset(&small);
    buf_reset(&large);
    check_again(&z, in, 8 + data[0] % 8);
    fuzz_free(in);
    return 0;
}
