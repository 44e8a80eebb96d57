#pragma once
/* pool: idle upstream connections of one node in one loop. The newest is taken first, so that the spare ones grow old
 * and are closed. No locks: a pool belongs to its loop; only what proxy/supply knows of it is under that one's lock.
 *
 * A connection is closed before its upstream closes it, where that has said when (Keep-Alive: timeout): a request must
 * not meet the end on its way. */
#include "http/up_h1.h"
#include "proxy/settings.h"

struct pool {
    struct link idle;                   /* struct up.in_pool, oldest first */
    uint32_t count;
    struct loop *loop;                  /* set with the first connection */
    struct deadline sweep;              /* when the next one has been idle too long */
    uint64_t sweep_ms;                  /* ... while it is set */
    struct link in_shelves;             /* supply.shelves, while it has connections that count; under its lock */
    uint32_t shelved;                   /* how many; under that lock */
    const struct node *node;            /* whose they are; under that lock */
};

void pool_init(struct pool *p);
/* An open connection, or NULL. Closes what is too old or was closed by the upstream on the way. */
struct up *pool_take(struct pool *p, const struct service_settings *s);
/* An idle connection that counts in the node's supply, or NULL. */
struct up *pool_take_counted(struct pool *p);
/* One that was just taken, as if it had stayed. */
void pool_restore(struct pool *p, struct up *u);
/* It is too old for another request, or nothing is to be kept. */
bool pool_is_worn(const struct up *u, const struct service_settings *s);
/* Takes a connection that is reusable and not worn; closes one when there are too many. One that counts is on the shelf
 * already: supply_offer. */
void pool_put(struct pool *p, struct up *u, const struct service_settings *s);
/* Closes all. */
void pool_close(struct pool *p);
