#include "proxy/plane.h"

void plane_swap(struct plane *p, struct generation *g)
{
    struct generation *old = p->generation;
    p->generation = g;
    p->fronts.idle_ms = g->gateway.timeouts.idle_ms;
    p->fronts.head_ms = g->gateway.timeouts.head_ms;
    p->fronts.requests_per_connection = g->gateway.limits.requests_per_connection;
    if (old && old->users[p->index].count == 0)
        generation_drop(old);
}
