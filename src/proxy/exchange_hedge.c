/* The exchange that asks twice: where the first node takes its time, another one gets the same request, and the first
 * answer counts. The second try is a small exchange of its own beside the first one, until one of them has won or
 * failed. It exists in STEP_HEAD only, where all of the request has been sent. */
#include "proxy/forward.h"
#include "proxy/steps.h"
#include "proxy/supply.h"

struct hedge {
    struct up *up;
    struct node *node;
    struct pick pick;
    uint64_t since_ms, try_us, started_us;
    bool reused;
    bool is_sent;
};

/* A plugin that sees tries may change them, and a client that stays at a node is not to be moved. */
static bool may_hedge(const struct exchange *x)
{
    const struct retry_settings *r = x->retry;
    return x->retries < r->attempts && retry_repeats(r, x->req.method) && x->up->request_done && !x->up_deaf &&
           !x->body_lost && !x->adhoc && !x->service->seats && !x->req.wants_upgrade && !has(x, HOOK_UPSTREAM);
}

void exchange_drop_hedge(struct exchange *x)
{
    struct hedge *h = x->hedge;
    if (!h)
        return;
    x->hedge = NULL;
    balancer_leave(&h->pick);
    up_close(h->up);
}

static void send_all(struct exchange *x, struct hedge *h)
{
    struct slice all = buf_slice(&x->replay);
    if (x->service->settings.timeout_header) {
        uint64_t due_ms = exchange_due_ms(x), per_try_ms = x->retry->per_try_ms;
        forward_timeout(x, per_try_ms && h->since_ms + per_try_ms < due_ms ? h->since_ms + per_try_ms : due_ms);
    }
    h->is_sent = true;
    /* Where it cannot be sent an answer may have come before the end: the next look tells. */
    (void)up_send_head(h->up, &x->req, (struct span){ (char *)(uintptr_t)all.at, all.len, 0, 0 }, true);
}

/* Another node, if there is one with a connection to spare. */
static void begin(struct exchange *x)
{
    struct loop *loop = loop_of(x);
    struct hedge h = { .pick = x->pick, .since_ms = loop->clock.now_ms, .started_us = clock_us() };
    struct ticket *ticket = NULL;
    h.pick.service = NULL;              /* the node in hand is the first try's */
    h.node = balancer_pick(&h.pick, x->service, x->plane->index, loop->clock.now_ms);
    if (!h.node)
        return;
    enum rc rc = supply_take(&ticket, x->service, h.node, x->plane, &x->wake, false, &h.up);
    if (rc == RC_AGAIN)
        ticket_drop(ticket);            /* who hedges does not wait for that, too */
    if (rc != RC_OK) {
        balancer_leave(&h.pick);
        return;
    }
    x->hedge = arena_alloc(&x->req.arena, sizeof *x->hedge);
    h.try_us = x->service->is_watched && h.node->state ? h.started_us : 0;
    h.reused = h.up->requests > 0;
    *x->hedge = h;
    exchange_attach(x, h.up);
    if (x->service->settings.host_policy == HOST_NODE)
        x->req.upstream_host = slice_text(h.node->host_port);
    x->tries++;
    x->retries++;
    count(&x->plane->counters.upstream_tries, 1);
    count(&x->plane->counters.upstream_hedges, 1);
    count(&x->plane->counters.upstream_reused, h.reused);
    if (h.reused)
        send_all(x, x->hedge);
}

/* The second try becomes the only one. */
static void take_over(struct exchange *x)
{
    const struct hedge *h = x->hedge;
    uint64_t tried = x->pick.tried | h->pick.tried;
    balancer_leave(&x->pick);
    x->pick = h->pick;
    x->pick.tried = tried;
    x->up = h->up;
    x->node = h->node;
    x->try_us = h->try_us;
    x->try_since_ms = h->since_ms;
    x->up_started_us = h->started_us;
    x->reused = h->reused;
    x->up_deaf = false;
    x->hedge = NULL;
}

enum next exchange_go_on_hedged(struct exchange *x)
{
    bool is_sent = x->hedge->is_sent;
    exchange_drop_up(x);
    take_over(x);
    x->since_ms[__builtin_ctz(WAIT_HEAD)] = 0;
    touch(x, is_sent ? WAIT_UP_WRITE : WAIT_CONNECT);
    return go(x, is_sent ? STEP_HEAD : STEP_CONNECT);
}

/* The first try goes on alone. */
static enum rc lose(struct exchange *x, bool is_good, const char *why)
{
    struct hedge *h = x->hedge;
    uint64_t us = clock_us() - h->started_us;
    count(&x->plane->counters.upstream_failures, 1);
    if (h->try_us)
        service_report(x->service, h->node, is_good, why, us, loop_of(x)->clock.now_ms);
    exchange_drop_hedge(x);
    return RC_AGAIN;
}

static enum rc win(struct exchange *x)
{
    if (x->try_us)
        service_note_slow(x->service, x->node, clock_us() - x->try_us, loop_of(x)->clock.now_ms);
    exchange_drop_up(x);
    take_over(x);
    return RC_OK;
}

/* How the second try gets on. RC_OK: its answer counts. */
static enum rc move_on(struct exchange *x, struct hedge *h)
{
    enum rc rc;
    if (!h->is_sent) {
        rc = up_check(h->up);
        if (rc == RC_OK)
            send_all(x, h);
        return rc == RC_OK || rc == RC_AGAIN ? RC_AGAIN : lose(x, false, rc_word(rc));
    }
    (void)up_flush(h->up);              /* as with send_all */
    do
        rc = up_read_head(h->up, &x->req, &x->res);
    while (rc == RC_OK && x->res.status < 200 && x->res.status != 101);
    if (rc == RC_AGAIN) {
        up_settle(h->up);
        return rc;
    }
    if (rc != RC_OK || x->res.status == 101)
        return lose(x, false, rc_word(rc == RC_OK ? RC_UPSTREAM_BAD : rc));
    if (retry_wants_status(x->retry, x->res.status))
        return lose(x, service_is_answer(x->res.status), status_reason(x->res.status).at);
    return win(x);
}

enum rc exchange_hedge(struct exchange *x)
{
    uint64_t *since_ms = &x->since_ms[__builtin_ctz(WAIT_HEDGE)];
    if (x->hedge)
        return move_on(x, x->hedge);
    if (x->hedge_asked || !may_hedge(x))
        return RC_AGAIN;
    if (!*since_ms || loop_of(x)->clock.now_ms < *since_ms + x->retry->hedge_ms) {
        wait_for(x, WAIT_HEDGE);
        return RC_AGAIN;
    }
    x->hedge_asked = true;              /* once per request, whatever comes of it */
    if (exchange_may_ask_another(x))
        begin(x);
    return RC_AGAIN;
}
