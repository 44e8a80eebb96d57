/* A response head: no overrun, prefixes agree with the whole, and what is written again reads the same. */
#include "fuzz.h"

static void write_and_read(const struct parsed *p)
{
    static char bytes[1 << 20];
    struct out out = { .at = bytes, .end = bytes + sizeof bytes - PADDING };
    struct response res = { .status = p->head.status, .reason = p->head.reason, .headers = p->headers };
    struct parsed again;
    h1_write_response(&out, &res, false, CONNECTION_NONE, SLICE_OF("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert(!out.full);
    fuzz_parse(h1_parse_response, slice_make(bytes, (size_t)(out.at - bytes)), &again);
    assert(again.rc == RC_OK && again.head.bytes == (size_t)(out.at - bytes));
    assert(again.head.status == p->head.status);
    assert(!p->head.reason.len || slice_equal(again.head.reason, p->head.reason));
    assert(again.headers.count - p->headers.count <= 1);        /* Date */
    fuzz_check_fields(&p->headers, &again.headers);
    arena_free(&again.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_copy(data, size, '\r');
    struct parsed p;
    fuzz_parse(h1_parse_response, in, &p);
    fuzz_check_parse(h1_parse_response, data, size, &p);
    if (p.rc == RC_OK && p.headers.count < 999)
        write_and_read(&p);
    arena_free(&p.arena);
    fuzz_free(in);
    return 0;
}
