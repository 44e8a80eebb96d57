#pragma once
/* query: the arguments of a request's query, as forms write them (application/x-www-form-urlencoded): "&" between them,
 * "+" is a space. tide.url.parse_query reads the same. */
#include "base/arena.h"
#include "base/rc.h"

enum { QUERY_ARGUMENTS_MAX = 100 };

struct argument { struct slice name, value; };      /* decoded; without "=" the value is empty */

struct query {
    struct argument *arguments;                     /* in their order */
    uint32_t count;
};

/* Takes a query apart, without its "?". Decoded texts live in the arena, others are views of the query.
 * RC_MALFORMED: a percent sign without two hexadecimal digits; RC_LIMIT: over QUERY_ARGUMENTS_MAX. Then there are no
 * arguments at all. */
enum rc query_parse(struct slice text, struct arena *a, struct query *out);
/* The first of that name; NULL where there is none. */
const struct argument *query_find(const struct query *q, struct slice name);
