#pragma once
/* pool: idle upstream connections of one node in one loop. The newest is taken first, so that the spare ones grow old
 * and are closed. No locks: a pool belongs to its loop. */
#include "http/up_h1.h"
#include "proxy/settings.h"

struct pool {
    struct link idle;                   /* struct up.in_pool, oldest first */
    uint32_t count;
    uint64_t idle_ms;                   /* of the newest generation that gave something back */
    struct loop *loop;                  /* set with the first connection */
    struct deadline oldest;             /* when the oldest has been idle too long */
};

void pool_init(struct pool *p);
/* An open connection, or NULL. Closes what is too old or was closed by the upstream on the way. */
struct up *pool_take(struct pool *p, const struct service_settings *s);
/* Takes a connection that is reusable; closes one when there are too many. */
void pool_put(struct pool *p, struct up *u, const struct service_settings *s);
/* Closes all. */
void pool_close(struct pool *p);
