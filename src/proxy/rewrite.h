#pragma once
/* rewrite: another path for the upstream, by a pattern: the part of the path that matches is replaced. Built once, then
 * immutable. */
#include "base/regex.h"
#include "http/request.h"

struct rewrite;

/* to: what stands in place of the match; "$1", "${12}" and "${name}" are groups of it, "$0" is the whole, "$$" a
 * dollar. Behind a "?" in it stands a query, in place of the request's. Lives in the arena, but for the pattern. NULL
 * with the reason; *in_match: it is about the pattern. */
struct rewrite *rewrite_new(struct arena *a, struct slice match, struct slice to, bool *in_match, char *why,
                            size_t size);
void rewrite_free(struct rewrite *w);

/* Changes the path, and maybe the query; nothing where the pattern does not match. The new path is in normal form and
 * begins with a slash, whatever `to` says. RC_MALFORMED: it leads above the root; RC_URI_LIMIT: it is too long;
 * RC_UNDECIDED: the pattern takes too long. */
enum rc rewrite_apply(const struct rewrite *w, struct request *r);
