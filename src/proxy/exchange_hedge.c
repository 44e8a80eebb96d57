/* The exchange that asks twice: where the first node takes its time, another one gets the same request, and the first
 * answer counts. The second try (exchange_second.c) begins in STEP_HEAD only, where all of the request was sent. */
#include "proxy/forward.h"
#include "proxy/steps.h"

/* A plugin that sees tries may change them, and a client that stays at a node is not to be moved. */
static bool may_hedge(const struct exchange *x)
{
    const struct retry_settings *r = x->retry;
    return x->retries < r->attempts && retry_repeats(r, x->req.method) && x->up->request_done && !x->up_deaf &&
           !x->body_lost && !x->adhoc && !x->service->seats && !x->req.wants_upgrade && !has(x, HOOK_UPSTREAM);
}

static void send_all(struct exchange *x, struct second *s)
{
    struct slice all = buf_slice(&x->replay);
    exchange_name_node(x, s->node);
    if (x->service->settings.timeout_header) {
        uint64_t due_ms = exchange_due_ms(x), per_try_ms = x->retry->per_try_ms;
        forward_timeout(x, per_try_ms && s->since_ms + per_try_ms < due_ms ? s->since_ms + per_try_ms : due_ms);
    }
    s->is_sent = true;
    /* Where it cannot be sent an answer may have come before the end: the next look tells. */
    (void)up_send_head(s->up, &x->req, (struct span){ (char *)(uintptr_t)all.at, all.len, 0, 0 }, true);
}

/* Another node, if there is one with a connection to spare. */
static void begin(struct exchange *x)
{
    if (exchange_begin_second(x, x->pick.tried) != RC_OK)
        return;
    x->retries++;
    count(&x->plane->counters.upstream_hedges, 1);
    if (x->second->reused)
        send_all(x, x->second);
}

/* The first try goes on alone. */
static enum rc lose(struct exchange *x, bool is_good, const char *why)
{
    exchange_fail_second(x, is_good, why);
    return RC_AGAIN;
}

static enum rc win(struct exchange *x)
{
    if (x->try_us)
        service_note_slow(x->service, x->node, clock_us() - x->try_us, loop_of(x)->clock.now_ms);
    exchange_take_second(x);
    return RC_OK;
}

/* How the second try gets on. RC_OK: its answer counts. */
static enum rc move_on(struct exchange *x, struct second *s)
{
    enum rc rc;
    if (!s->is_sent) {
        rc = up_check(s->up);
        if (rc == RC_OK)
            send_all(x, s);
        return rc == RC_OK || rc == RC_AGAIN ? RC_AGAIN : lose(x, false, rc_word(rc));
    }
    (void)up_flush(s->up);              /* as with send_all */
    do
        rc = up_read_head(s->up, &x->req, &x->res, false);
    while (rc == RC_OK && x->res.status < 200 && x->res.status != 101 && s->interims++ < INTERIM_MAX);
    if (rc == RC_AGAIN) {
        up_settle(s->up);
        return rc;
    }
    if (rc != RC_OK || x->res.status < 200)
        return lose(x, false, rc_word(rc == RC_OK ? RC_UPSTREAM_BAD : rc));
    if (retry_wants_status(x->retry, x->res.status))
        return lose(x, service_is_answer(x->res.status), status_reason(x->res.status).at);
    return win(x);
}

enum rc exchange_hedge(struct exchange *x)
{
    uint64_t *since_ms = &x->since_ms[__builtin_ctz(WAIT_SECOND)];
    if (x->second)
        return move_on(x, x->second);
    if (x->hedge_asked || !may_hedge(x))
        return RC_AGAIN;
    if (!*since_ms || loop_of(x)->clock.now_ms < *since_ms + x->retry->hedge_ms) {
        wait_for(x, WAIT_SECOND);
        return RC_AGAIN;
    }
    x->hedge_asked = true;              /* once per request, whatever comes of it */
    if (exchange_may_ask_another(x))
        begin(x);
    return RC_AGAIN;
}
