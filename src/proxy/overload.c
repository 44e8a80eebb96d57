#include "proxy/overload.h"

void overload_settle(struct overload *o, const struct overload_settings *s)
{
    uint32_t limit = s->is_adaptive ? adaptive_limit(&o->adaptive, s->least, s->most) : s->max_requests;
    lock_take(&o->gate.lock);
    o->is_adaptive = s->is_on && s->is_adaptive;
    o->least = s->least;
    o->most = s->most;
    gate_set_locked(&o->gate, s->is_on ? limit : 0, s->queue, NULL);
    lock_leave(&o->gate.lock);
}

enum rc overload_enter(struct overload *o, struct loop *loop, struct freelist *tickets, struct task *wake,
                       struct ticket **t, struct overload_place *p)
{
    if (*t) {
        if (!ticket_is_called(*t))
            return RC_AGAIN;
        ticket_use(*t);
        *t = NULL;
    } else {
        enum rc rc = gate_enter(&o->gate, loop, tickets, wake, t);
        if (rc != RC_OK)
            return rc == RC_FULL ? RC_OVERLOAD : rc;
    }
    *p = (struct overload_place){ o, clock_us() };
    return RC_OK;
}

/* Where a reload comes in between, what it says counts. */
static void follow(struct overload *o, uint64_t us, struct loop *here)
{
    struct gate *g = &o->gate;
    lock_take(&g->lock);
    bool is_adaptive = o->is_adaptive;
    uint32_t used = g->used, least = o->least, most = o->most;
    lock_leave(&g->lock);
    if (!is_adaptive)
        return;
    uint32_t limit = adaptive_note(&o->adaptive, least, most, us, used, here->clock.now_ms);
    lock_take(&g->lock);
    if (o->is_adaptive && limit != g->limit && limit >= o->least && limit <= o->most)
        gate_set_locked(g, limit, g->queue, here);
    lock_leave(&g->lock);
}

void overload_note(struct overload_place *p, bool is_fair, struct loop *here)
{
    if (p->overload && p->since_us && is_fair)
        follow(p->overload, clock_us() - p->since_us, here);
    p->since_us = 0;
}

void overload_leave(struct overload_place *p, struct loop *here)
{
    if (!p->overload)
        return;
    gate_leave(&p->overload->gate, here);
    p->overload = NULL;
}
