#include "proxy/gate.h"

#include <string.h>

void gate_init(struct gate *g)
{
    memset(g, 0, sizeof *g);
    list_init(&g->waiting);
}

/* -- tickets -- */

static void give_back(struct ticket *t)
{
    if (t->lost)
        t->lost(t);
    else
        gate_leave(t->gate, t->loop);
}

static void arrive(struct ticket *t)
{
    if (!t->wake) {                     /* the gate may be gone by now */
        freelist_give(t->home, t);
        return;
    }
    t->is_here = true;
    loop_ready(t->loop, t->wake);
}

static void run_arrive(struct loop *loop, struct job *job)
{
    (void)loop;
    arrive(LINK_OWNER(job, struct ticket, job));
}

/* It is posted under the lock, which who waits needs to go away: so its loop is still there. */
void ticket_call(struct ticket *t, struct loop *here)
{
    t->is_called = true;
    if (t->loop == here) {
        arrive(t);
        return;
    }
    t->job.run = run_arrive;
    loop_post(t->loop, &t->job);
}

void ticket_use(struct ticket *t) { freelist_give(t->home, t); }

void ticket_drop(struct ticket *t)
{
    struct gate *g = t->gate;
    lock_take(&g->lock);
    bool waits = !t->is_called;
    if (waits) {
        link_remove(&t->in_gate);
        g->waits--;
    }
    lock_leave(&g->lock);
    if (!waits)
        give_back(t);
    if (waits || t->is_here)
        freelist_give(t->home, t);
    else
        t->wake = NULL;                 /* its call is on the way to this loop */
}

/* -- places -- */

static bool is_full(const struct gate *g) { return g->limit && g->used >= g->limit; }

enum rc gate_enter_locked(struct gate *g, uint32_t more, struct loop *loop, struct freelist *home, struct task *wake,
                          struct ticket **out)
{
    *out = NULL;
    if (!g->waits && !is_full(g)) {
        g->used++;
        return RC_OK;
    }
    if (g->waits >= g->queue + more) {
        g->refused++;
        return RC_FULL;
    }
    struct ticket *t = *out = freelist_take(home, 0);
    *t = (struct ticket){ .gate = g, .loop = loop, .home = home, .wake = wake };
    list_append(&g->waiting, &t->in_gate);
    g->waits++;
    g->waited++;
    return RC_AGAIN;
}

enum rc gate_enter(struct gate *g, struct loop *loop, struct freelist *home, struct task *wake, struct ticket **out)
{
    lock_take(&g->lock);
    enum rc rc = gate_enter_locked(g, 0, loop, home, wake, out);
    lock_leave(&g->lock);
    return rc;
}

static struct ticket *shift(struct gate *g)
{
    struct link *first = list_shift(&g->waiting);
    if (!first)
        return NULL;
    g->waits--;
    return LINK_OWNER(first, struct ticket, in_gate);
}

struct ticket *gate_pass_locked(struct gate *g, bool is_left)
{
    struct ticket *t = g->limit && g->used > g->limit ? NULL : shift(g);
    if (!t && is_left)
        g->used--;
    return t;
}

void gate_leave(struct gate *g, struct loop *here)
{
    lock_take(&g->lock);
    struct ticket *t = gate_pass_locked(g, true);
    if (t)
        ticket_call(t, here);
    lock_leave(&g->lock);
}

void gate_set_locked(struct gate *g, uint32_t limit, uint32_t queue, struct loop *here)
{
    g->limit = limit;
    g->queue = queue;
    while (g->waits && !is_full(g)) {
        g->used++;
        ticket_call(shift(g), here);
    }
}

void gate_set(struct gate *g, uint32_t limit, uint32_t queue, struct loop *here)
{
    lock_take(&g->lock);
    gate_set_locked(g, limit, queue, here);
    lock_leave(&g->lock);
}
