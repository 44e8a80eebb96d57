/* The exchange with two tries at a time: a second one beside x->up, at another node. It is the younger of both, and is
 * there until one of them has won or failed. What it is for is said by exchange_race.c (while it connects) and
 * exchange_hedge.c (while it waits for an answer). */
#include "proxy/adhoc.h"
#include "proxy/steps.h"
#include "proxy/supply.h"

static void leave_node(struct exchange *x, struct second *s)
{
    balancer_leave(&s->pick);
    if (x->adhoc)
        adhoc_drop_second(x->adhoc);
}

void exchange_drop_second(struct exchange *x)
{
    struct second *s = x->second;
    if (!s)
        return;
    x->second = NULL;
    leave_node(x, s);
    up_close(s->up);
}

static void tell_failure(struct exchange *x, const struct second *s, bool is_good, const char *why)
{
    struct loop *loop = loop_of(x);
    x->pick.tried |= s->pick.tried;
    if (x->adhoc)
        adhoc_blame(x->adhoc, s->node);
    exchange_count_failure(x, s->node);
    if (s->try_us)
        service_report(x->service, s->node, is_good, why, clock_us() - s->try_us, loop->clock.now_ms);
}

enum rc exchange_begin_second(struct exchange *x, uint64_t tried)
{
    struct loop *loop = loop_of(x);
    struct second s = { .pick = x->pick, .since_ms = loop->clock.now_ms, .started_us = clock_us() };
    struct ticket *ticket = NULL;
    s.pick.service = NULL;              /* the node in hand is the first try's */
    s.pick.tried = tried;
    s.node = x->adhoc ? adhoc_pick_second(x->adhoc)
                      : balancer_pick(&s.pick, x->service, x->plane->index, loop->clock.now_ms);
    if (!s.node)
        return RC_NO_NODE;
    s.pick.tried = (s.pick.tried & ~tried) | x->pick.tried;
    s.try_us = x->service->is_watched && s.node->state ? s.started_us : 0;
    enum rc rc = supply_take(&ticket, x->service, s.node, x->plane, &x->wake, false, &s.up);
    if (rc == RC_AGAIN)
        ticket_drop(ticket);            /* who is in a hurry does not wait for that, too */
    if (rc == RC_AGAIN || rc == RC_NODE_FULL || rc == RC_FULL) {
        leave_node(x, &s);
        return rc;
    }
    x->tries++;
    count(&x->plane->counters.upstream_tries, 1);
    if (rc != RC_OK) {
        exchange_warn(x, s.node, rc_word(rc), s.up);
        tell_failure(x, &s, false, rc_word(rc));
        leave_node(x, &s);
        return rc;
    }
    s.reused = s.up->requests > 0;
    count(&x->plane->counters.upstream_reused, s.reused);
    x->second = arena_alloc(&x->req.arena, sizeof *x->second);
    *x->second = s;
    exchange_attach(x, s.up);
    return rc;
}

void exchange_fail_second(struct exchange *x, bool is_good, const char *why)
{
    tell_failure(x, x->second, is_good, why);
    exchange_drop_second(x);
}

void exchange_name_node(struct exchange *x, const struct node *n)
{
    struct slice name = slice_text(n->host_port);
    if (x->service->settings.host_policy == HOST_NODE || x->req.upstream_host.len == 0)
        x->req.upstream_host = n->is_adhoc ? arena_copy(&x->req.arena, name) : name;    /* those may go any time */
}

void exchange_take_second(struct exchange *x)
{
    const struct second *s = x->second;
    uint64_t tried = x->pick.tried | s->pick.tried;
    exchange_drop_up(x);
    balancer_leave(&x->pick);
    if (x->adhoc)
        adhoc_take_second(x->adhoc);
    x->pick = s->pick;
    x->pick.tried = tried;
    x->up = s->up;
    x->node = s->node;
    x->try_us = s->try_us;
    x->try_since_ms = s->since_ms;
    x->up_started_us = s->started_us;
    x->reused = s->reused;
    x->up_deaf = false;
    x->second = NULL;
    exchange_name_node(x, x->node);
}

enum next exchange_go_on_second(struct exchange *x)
{
    bool is_sent = x->second->is_sent;
    uint64_t since_ms = x->second->since_ms;
    x->retries += x->step == STEP_CONNECT;      /* of a race; who hedges was a further try from the beginning */
    if (x->adhoc)
        adhoc_blame(x->adhoc, x->node);
    exchange_take_second(x);
    x->since_ms[__builtin_ctz(WAIT_HEAD)] = 0;
    if (is_sent) {
        touch(x, WAIT_UP_WRITE);
        return go(x, STEP_HEAD);
    }
    x->since_ms[__builtin_ctz(WAIT_CONNECT)] = x->since_ms[__builtin_ctz(WAIT_SECOND)] = since_ms;
    return go(x, STEP_CONNECT);
}
