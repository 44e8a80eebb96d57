/* A request head: no overrun, prefixes agree with the whole, and what is written again reads the same. */
#include "fuzz.h"

static void write_and_read(const struct parsed *p)
{
    static char bytes[1 << 20];
    struct out out = { .at = bytes, .end = bytes + sizeof bytes - PADDING };
    struct request r = { .method_text = p->head.method, .path = p->head.target, .headers = p->headers,
                         .upstream_host = SLICE("upstream"), .body = BODY_NONE };
    struct parsed again;
    h1_write_request(&out, &r);
    assert(!out.full);
    fuzz_parse(h1_parse_request, slice_make(bytes, (size_t)(out.at - bytes)), &again);
    assert(again.rc == RC_OK && again.head.bytes == (size_t)(out.at - bytes) && again.head.minor == 1);
    assert(slice_equal(again.head.method, p->head.method) && slice_equal(again.head.target, p->head.target));
    assert(again.headers.count == p->headers.count + 1);
    fuzz_check_fields(&p->headers, &again.headers);
    arena_free(&again.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_copy(data, size, '\r');
    struct parsed p;
    fuzz_parse(h1_parse_request, in, &p);
    fuzz_check_parse(h1_parse_request, data, size, &p);
    if (p.rc == RC_MALFORMED)
        assert(*h1_parse_why(in, p.head.bytes));
    if (p.rc == RC_OK && p.headers.count < 999)
        write_and_read(&p);
    arena_free(&p.arena);
    fuzz_free(in);
    return 0;
}
