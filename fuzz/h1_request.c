/* A request head: no overrun, prefixes agree with the whole, what is written again reads the same, and it means the
 * same whatever heads came before. */
#include "fuzz.h"
#include "http/h1_server_head.h"
#include "http/url.h"

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

struct meaning {
    struct parsed parsed;
    struct request r;
    enum rc rc;
};

static void understand(struct slice in, struct host_memo *memo, struct meaning *out)
{
    static const struct limits limits = { 0 };
    static const struct security security = { .merge_slashes = true };
    bool keep;
    const char *why;
    fuzz_parse(h1_parse_request, in, &out->parsed);
    assert(out->parsed.rc == RC_OK);
    out->r = (struct request){ .headers = out->parsed.headers, .limits = &limits, .security = &security };
    arena_init(&out->r.arena, 4096);
    out->rc = h1_server_head(&out->r, &out->parsed.head, memo, &keep, &why);
}

static void forget(struct meaning *m)
{
    arena_free(&m->parsed.arena);
    arena_free(&m->r.arena);
}

/* The path as it is found without a short cut. */
static void check_path(const struct request *r)
{
    struct arena a;
    struct slice path = r->target, normal;
    if (path.at[0] != '/')
        return;
    const char *mark = memchr(path.at, '?', path.len);
    if (mark)
        path.len = (size_t)(mark - path.at);
    assert(!mark == !r->query.at && (!mark || r->query.at == mark + 1));
    arena_init(&a, 4096);
    assert(url_normalise(path, true, &a, &normal) == RC_OK && slice_equal(normal, r->path));
    assert(r->path.at != r->plain_path || !url_is_hidden(r->path));
    arena_free(&a);
}

static void check_meaning(struct slice in)
{
    static struct host_memo lasting;
    struct host_memo fresh = { 0 };
    struct meaning alone, after;
    understand(in, &fresh, &alone);
    understand(in, &lasting, &after);
    assert(alone.rc == after.rc);
    if (alone.rc == RC_OK) {
        assert(slice_equal(alone.r.host, after.r.host) && slice_equal(alone.r.path, after.r.path));
        if (alone.r.method != METHOD_CONNECT)
            check_path(&alone.r);
    }
    forget(&alone);
    forget(&after);
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
    if (p.rc == RC_OK)
        check_meaning(in);
    arena_free(&p.arena);
    fuzz_free(in);
    return 0;
}
