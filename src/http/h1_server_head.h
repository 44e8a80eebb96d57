#pragma once
/* h1_server_head: what a parsed request head means: how its body is framed (RFC 9112 section 6), whether the connection
 * goes on after it (section 9.3), and what its target names (section 3). Strict: a head that two parsers could read
 * differently is refused. No I/O. */
#include "http/h1_parse.h"
#include "http/host_memo.h"
#include "http/request.h"

/* Fills in r from version and method to the host and what the client expects; takes the fields out of r->headers that
 * are about the connection. memo: hosts of earlier heads, to which this one's is added. *keep: the client lets the
 * connection go on.
 * RC_OK; RC_MALFORMED (*why says what is wrong, for the log; static); RC_UNKNOWN_CODING; RC_EXPECTATION; RC_BODY_LIMIT;
 * RC_NO_LENGTH. */
enum rc h1_server_head(struct request *r, const struct h1_head *head, struct host_memo *memo, bool *keep,
                       const char **why);
