#pragma once
/* supply: the connections to a node, counted over all loops where `pool.max_per_node` says so: never more than that are
 * open. Who finds none waits in order; what becomes free goes to whose turn it is, from loop to loop if need be. Idle
 * connections count as well, and are handed over to a loop that needs one.
 *
 * A connection that counts says so (up.counted_by) and holds a reference. One from before there was a limit does not
 * count, and is closed instead of used. */
#include "proxy/gate.h"

struct node;
struct plane;
struct pool;
struct service;
struct up;

struct supply {
    struct gate gate;                   /* its lock is that of shelves, too */
    struct link shelves;                /* struct pool.in_shelves: where idle ones are, the next to ask first */
    uint32_t idle;                      /* on all shelves */
    _Atomic uint32_t refs;
};

struct supply *supply_new(void);
struct supply *supply_keep(struct supply *v);
void supply_drop(struct supply *v);

/* A connection to n, for one request. wake is made ready when it is worth while to ask again.
 * RC_OK      *out is idle (it has had requests), or new and on its way
 * RC_AGAIN   *t waits: ask again with it, or ticket_drop it
 * RC_NODE_FULL  so many wait already
 * RC_FULL       there are no more sockets here
 * else       as service_connect
 * fresh: an idle one is not wanted, if that can be had. */
enum rc supply_take(struct ticket **t, const struct service *s, struct node *n, struct plane *p, struct task *wake,
                    bool fresh, struct up **out);
/* A connection that counts, fit for another request, is free. True: somebody has it; else it is to be put into the
 * pool, where it is shelved now. */
bool supply_offer(struct supply *v, const struct node *n, struct pool *pool, struct up *u);
/* One that counts is no longer in the pool. */
void supply_unshelve(struct supply *v, struct pool *pool);
