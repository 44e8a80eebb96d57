#pragma once
/* reply: responses that the gateway makes itself: errors, respond, redirect, echo. Each fills x->res and gives the
 * body. */
#include "proxy/exchange.h"

/* A response with this status and nothing else yet. */
void reply_begin(struct exchange *x, int status);
/* ... with this media type. */
void reply_type(struct exchange *x, struct slice type);
/* An error body in JSON or plain text, by Accept. */
struct span reply_error(struct exchange *x, enum rc rc);
/* allowed: bit per enum method, for the Allow field of a 405 (RFC 9110 section 15.5.6). */
struct span reply_method_not_allowed(struct exchange *x, const struct router_answer *answer);
/* What we know of the route's methods, for OPTIONS that goes no further. */
struct span reply_options(struct exchange *x);
struct span reply_fixed(struct exchange *x);
struct span reply_redirect(struct exchange *x);
/* The request as it was understood, as text; its body follows. */
struct span reply_echo(struct exchange *x);
