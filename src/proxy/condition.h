#pragma once
/* condition: what a route asks of a request besides host, path, method and listener: the configuration's `when`. It is
 * a list of questions; the answer to one says which comes next, or what the whole comes to. Built once, then immutable.
 * lua/tidegate/plugin/when.lua answers the same for plugins: spec/unit/proxy/condition_spec.lua holds both together. */
#include "base/arena.h"
#include "http/query.h"
#include "http/request.h"
#include "proxy/settings.h"

struct regex;

struct question {
    struct question_settings settings;
    enum header_id header_id;           /* of SUBJECT_HEADER */
    struct slice *words;                /* of TEST_IN, sorted; else of the one word */
    struct network *networks;           /* of TEST_CIDR */
    struct regex *regex;                /* of TEST_MATCHES */
    uint32_t count;                     /* of words or networks so far */
};

struct condition {
    struct question *questions;
    uint32_t count, cap;
};

/* What is known of a request. */
struct facts {
    const struct request *request;
    const struct peer *client;          /* who asks, behind trusted proxies */
    struct arena *arena;                /* for the arguments of the query, which are read once, when first asked for */
    bool has_query;
    struct query query;
    const struct question *stuck;       /* its pattern ran into a limit: nobody can tell where the request belongs */
};

/* An empty one of at most so many questions, in the arena. */
struct condition *condition_new(struct arena *a, uint32_t cap);
/* The next question, all zero: the caller fills in its settings. */
struct question *condition_add(struct condition *c);
/* A word, a pattern or a network for a question, whose settings are complete. RC_MALFORMED with the reason. */
enum rc question_add(struct question *q, struct arena *a, struct slice text, char *why, size_t size);
/* After the last one: asserts that every answer leads onwards. */
void condition_finish(struct condition *c);
/* What is not in the arena. */
void condition_free(struct condition *c);

/* NULL: the condition holds; else the question whose answer has decided against it. */
const struct question *condition_objection(const struct condition *c, struct facts *f);
