#pragma once
/* tls_clients: TLS contexts of clients whose settings come up while the gateway runs (a plugin's), for loops: the files
 * are read by a thread. A context is shared by all loops, and kept for a minute, so that files that were replaced are
 * seen. */
#include "net/lookup.h"
#include "net/tls_context.h"

/* RC_OK: *out, to be given back by tls_context_drop. RC_AGAIN: fn(loop, who) is called when it is there; ask again
 * then. RC_MALFORMED: the reason is in why[size]. The slices of s end with a NUL. In the loop's thread. */
enum rc tls_client_ask(struct loop *loop, const struct tls_client_settings *s, lookup_fn *fn, double who,
                       struct tls_context **out, char *why, size_t size);
