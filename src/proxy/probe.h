#pragma once
/* probe: one health check of one node: connects, and for HTTP asks and looks at the answer. On a loop of the caller's,
 * with a connection of its own: what is checked is the node, not a pool. */
#include "base/buf.h"
#include "proxy/service.h"

struct probe;

/* It has ended: result is set. Never from within probe_start; and the next one is not started from here. */
typedef void probe_fn(struct probe *p);

struct probe {                          /* all zero: never started */
    struct check_result result;
    /* Private. */
    struct loop *loop;
    const struct service *service;
    const struct node *node;
    struct freelist *ups;
    probe_fn *tell;
    struct up *up;
    struct task wake;
    struct deadline timer;
    struct request req;
    struct response res;
    struct buf body;
    uint64_t started_us;
    enum rc refused;                    /* what the kernel said at once, where up is NULL */
    uint8_t step;
    bool runs;
};

/* Service and node stay until it has ended or is cancelled. */
void probe_start(struct probe *p, struct loop *loop, struct freelist *ups, const struct service *s,
                 const struct node *n, probe_fn *tell);
/* Nothing is told any more; its memory may go. */
void probe_cancel(struct probe *p);
