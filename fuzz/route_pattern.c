/* Patterns of routes: the bytes before the first NUL are one, those behind it a path. What is read off an expression is
 * in all that it matches; what the compiled router finds is what fits by the words of the pattern. */
#include "base/regex_literals.h"
#include "fuzz.h"
#include "http/request.h"
#include "http/url.h"
#include "proxy/router.h"

/* Subjects that run an expression into its limits say nothing. */
static void check_literals(struct slice pattern, unsigned flags, struct slice subject)
{
    struct regex *regex;
    struct regex_error wrong;
    struct regex_literals found;
    struct slice whole;
    if (regex_compile(pattern, flags, &regex, &wrong) != RC_OK)
        return;
    regex_literals_find(pattern, flags, &found);
    if (regex_match(regex, subject, &whole, 1) == RC_OK) {
        assert(!subject.len || (whole.at >= subject.at && slice_end(whole) <= slice_end(subject)));
        for (uint32_t i = 0; i < found.count; i++) {
            struct slice run = regex_literal(&found, i);
            assert(run.len && memmem(subject.at, subject.len, run.at, run.len));
            assert(i > 0 || !found.is_prefix || slice_has_prefix(subject, run));
        }
    }
    regex_free(regex);
}

static void check_params(struct slice pattern, struct slice path, const struct router_answer *answer)
{
    struct route_param params[ROUTE_PARAMS_MAX];
    if (path_class_of(pattern) == PATH_REGEX)
        return;
    uint32_t count = path_pattern_params(pattern, NULL, path, params);
    assert(count == answer->param_count);
    for (uint32_t i = 0; i < count; i++) {
        assert(slice_equal(params[i].name, answer->params[i].name) && params[i].value.len);
        assert(slice_equal(params[i].value, answer->params[i].value));
    }
}

/* The pattern between an exact path and one for all. */
static void check_router(struct slice pattern, struct slice path)
{
    struct router_route routes[3] = { { .order = 0 }, { .order = 1 }, { .order = 2 } };
    struct router *r = router_new(NULL);
    struct regex_error wrong;
    struct slice first = SLICE_OF("/users/me");
    bool is_good = router_add(r, SLICE_NONE, pattern, &routes[1], &wrong) == RC_OK;
    assert(router_add(r, SLICE_NONE, first, &routes[0], &wrong) == RC_OK);
    assert(router_add(r, SLICE_NONE, SLICE_NONE, &routes[2], &wrong) == RC_OK);
    router_seal(r);
    struct router_query q = { .path = path, .method = METHOD_GET };
    struct router_answer answer;
    router_find(r, &q, &answer);
    assert(answer.route && router_memory(r) && router_pairs(r) == (is_good ? 3 : 2));
    struct router_candidate one = { .verdict = VERDICT_HOST };
    for (uint32_t rank = 0; rank < router_pairs(r) && one.verdict != VERDICT_FITS; rank++)
        one = router_judge(r, &q, rank);
    assert(answer.is_undecided || one.route == answer.route);
    if (answer.route == &routes[1])
        check_params(pattern, path, &answer);
    router_free(r);
}

static void check_pattern(struct slice text, struct slice path)
{
    struct arena a;
    struct pattern_error wrong;
    struct slice pattern, again, normal;
    arena_init(&a, 4096);
    if (host_pattern_parse(text, &a, &pattern, &wrong) == RC_OK)
        assert(pattern.len == text.len && host_class_of(pattern) != HOST_ANY);
    if (path_pattern_parse(text, true, &a, &pattern, &wrong) == RC_OK) {
        assert(path_pattern_parse(pattern, true, &a, &again, &wrong) == RC_OK && slice_equal(again, pattern));
        if (url_normalise(path, true, &a, &normal) == RC_OK)
            check_router(pattern, normal);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_copy(data, size, 'a'), path = SLICE_NONE;
    const char *border = in.len ? memchr(in.at, 0, in.len) : NULL;
    struct slice pattern = slice_make(in.at, border ? (size_t)(border - in.at) : in.len);
    if (border)
        path = slice_from(in, pattern.len + 1);
    check_pattern(pattern, path);
    if (pattern.len && pattern.at[0] == '~') {
        check_literals(slice_from(pattern, 1), 0, path);
    } else {
        check_literals(pattern, 0, path);
    }
    fuzz_free(in);
    return 0;
}
