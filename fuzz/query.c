/* Queries: no overrun, and what is decoded is no longer than what came, and in its order. */
#include "fuzz.h"
#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct query q;
    char *copy = malloc(size ? size : 1);       /* no byte more than given may be looked at */
    assert(copy);
    if (size)
        memcpy(copy, data, size);
    arena_init(&a, 4096);
    enum rc rc = query_parse(slice_make(copy, size), &a, &q);
    assert(rc == RC_OK || q.count == 0);
    assert(q.count <= QUERY_ARGUMENTS_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < q.count; i++) {
        bytes += q.arguments[i].name.len + q.arguments[i].value.len;
        const struct argument *found = query_find(&q, q.arguments[i].name);
        assert(found && found <= &q.arguments[i] && slice_equal(found->name, q.arguments[i].name));
    }
    assert(bytes <= size);
    arena_free(&a);
    free(copy);
    return 0;
}
