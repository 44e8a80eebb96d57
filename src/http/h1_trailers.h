#pragma once
/* h1_trailers: fields behind a chunked body, RFC 9112 section 7.1.2. Only those cross the gateway that mean the same
 * wherever they stand, RFC 9110 section 6.5.1. */
#include "base/arena.h"
#include "base/buf.h"
#include "http/header.h"

enum { H1_TRAILERS_MAX = 16 * 1024 };   /* above what the chunked coding lets pass, with all punctuation */

/* lines: a trailer section that was checked, "Name: value" and CR LF each. What may be passed on of it behind this
 * head, in the arena: no field that a plugin has set or removed there. Empty where that is nothing. */
struct slice h1_trailers_pick(struct slice lines, const struct headers *head, struct arena *a);

/* Whether a TE field says that its sender understands trailers, RFC 9110 section 10.1.4. */
bool h1_trailers_wanted(const struct headers *headers);
