#pragma once
/* hash_key: what a service's hash is made of: the client's address, or a part of the request. */
#include "proxy/exchange.h"

/* Where the service picks nodes by a hash, and the request has what it is made of: sets x->pick.hash. A plugin's key
 * counts before all. */
void hash_key_make(struct exchange *x);

static inline void hash_key_find(struct exchange *x)
{
    if (x->service->ring && !x->pick.has_hash)
        hash_key_make(x);
}
