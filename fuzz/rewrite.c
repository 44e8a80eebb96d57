/* Rewriting paths: whatever pattern, replacement and path meet, the result is a path in normal form, or an error. */
#include "fuzz.h"
#include "http/url.h"
#include "proxy/rewrite.h"

/* Up to the next NUL. */
static struct slice next_text(struct slice *rest)
{
    const char *end = rest->len ? memchr(rest->at, 0, rest->len) : NULL;
    struct slice text = slice_make(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    *rest = slice_from(*rest, text.len + (end != NULL));
    return text;
}

static void apply(const struct rewrite *w, struct slice path)
{
    static const struct security security = { .merge_slashes = true };
    struct request r = { .security = &security, .query = SLICE_NONE };
    arena_init(&r.arena, 4096);
    if (url_normalise(path, true, &r.arena, &r.path) == RC_OK && rewrite_apply(w, &r) == RC_OK) {
        struct slice again;
        assert(r.path.len && r.path.at[0] == '/');
        assert(url_normalise(r.path, true, &r.arena, &again) == RC_OK && slice_equal(again, r.path));
    }
    arena_free(&r.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1), why[512];
    struct arena a;
    bool in_match;
    assert(copy);
    if (size)
        memcpy(copy, data, size);
    struct slice rest = slice_make(copy, size), match = next_text(&rest), to = next_text(&rest);
    arena_init(&a, 4096);
    struct rewrite *w = rewrite_new(&a, match, to, &in_match, why, sizeof why);
    if (w) {
        apply(w, rest);
        rewrite_free(w);
    }
    arena_free(&a);
    free(copy);
    return 0;
}
