/* The exchange when a try has failed: another one, or the end. What counts as a failure that asks for another try, and
 * how often there may be one, is said by x->retry; what must hold whatever that says is said here: a node that may have
 * worked on a request gets it again only by a method that allows that, the body is there to be sent again, the budget
 * has something left, and the time of the whole exchange is not over before the next try begins. */
#include "base/log.h"
#include "proxy/adhoc.h"
#include "proxy/steps.h"

enum { DROPPED_MAX = 64 * 1024 };       /* of an answer that is not wanted, read away to keep its connection */

static bool has_other_node(struct exchange *x)
{
    if (x->adhoc)
        return adhoc_has_more(x->adhoc);
    return balancer_has_other(&x->pick, x->service, x->plane->index, loop_of(x)->clock.now_ms);
}

static bool may_spend(struct exchange *x)
{
    if (!x->service->state || retry_spend(&x->service->state->retries, x->retry, loop_of(x)->clock.now_ms))
        return true;
    count(&x->plane->counters.upstream_retries_refused, 1);
    return false;
}

/* Whether there will be another try, which is counted then. causes: enum retry_on. is_untouched: no node has done
 * anything with the request. */
static bool may_retry(struct exchange *x, uint32_t causes, bool is_untouched)
{
    const struct retry_settings *r = x->retry;
    bool is_next_address = x->adhoc && causes & RETRY_ON_CONNECT && adhoc_has_more(x->adhoc);
    if (x->body_lost)
        return false;
    if (!is_next_address && (!(r->on & causes) || x->retries >= r->attempts))
        return false;
    if (!is_untouched && !retry_repeats(r, x->req.method))
        return false;
    bool is_at_once = has_other_node(x) || (!x->adhoc && balancer_has_backup(&x->pick, x->service));
    x->backoff_ms = is_at_once ? 0 : retry_backoff(r, x->rounds++, &x->plane->random);
    if (loop_of(x)->clock.now_ms + x->backoff_ms >= exchange_due_ms(x))
        return false;
    return is_untouched || may_spend(x);
}

bool exchange_may_ask_another(struct exchange *x) { return has_other_node(x) && may_spend(x); }

/* The connection of the failed try is given up by now. */
static enum next retry(struct exchange *x)
{
    x->retries++;
    count(&x->plane->counters.upstream_retries, 1);
    balancer_leave(&x->pick);
    x->request_sent = false;
    touch(x, WAIT_BACKOFF);
    return go(x, STEP_BACKOFF);
}

enum next step_backoff(struct exchange *x)
{
    uint64_t since_ms = x->since_ms[__builtin_ctz(WAIT_BACKOFF)];
    if (loop_of(x)->clock.now_ms >= since_ms + x->backoff_ms)
        return exchange_pick(x);
    wait_for(x, WAIT_BACKOFF);
    return NEXT_WAIT;
}

static enum next retry_or_fail(struct exchange *x, enum rc rc, uint32_t causes, bool is_untouched)
{
    exchange_count_failure(x, x->node);
    exchange_warn(x, x->node, rc_word(rc), x->up);
    if (x->second)
        return exchange_go_on_second(x);
    if (!may_retry(x, causes, is_untouched))
        return exchange_fail(x, rc);
    exchange_drop_up(x);
    return retry(x);
}

enum next exchange_connect_failed(struct exchange *x, enum rc rc)
{
    exchange_blame_node(x, rc);
    return retry_or_fail(x, rc, RETRY_ON_CONNECT | (rc == RC_TRY_TIMEOUT ? RETRY_ON_TIMEOUT : 0), true);
}

enum next exchange_up_died(struct exchange *x, enum rc rc)
{
    bool is_untouched = service_took_nothing(x->up, rc), is_stale = x->reused && !x->up->got_bytes;
    if (is_stale && !x->second && !x->body_lost && (is_untouched || retry_repeats(x->retry, x->req.method))) {
        exchange_drop_up(x);            /* the connection was old, not the node bad: the same one */
        count(&x->plane->counters.upstream_retries, 1);
        return go(x, STEP_CONNECT);
    }
    if (!is_stale)
        exchange_blame_node(x, RC_RESET);
    return retry_or_fail(x, RC_RESET, RETRY_ON_RESET, is_untouched);
}

enum next exchange_head_broken(struct exchange *x, enum rc rc)
{
    exchange_blame_node(x, rc);
    return retry_or_fail(x, rc, RETRY_ON_RESET, false);
}

enum next exchange_try_late(struct exchange *x, enum rc rc)
{
    if (x->up->request_done)
        exchange_blame_node(x, rc);
    return retry_or_fail(x, rc, RETRY_ON_TIMEOUT, x->up->sent == x->up->sent_before);
}

/* A small rest that is there already is read away, so that the connection can be kept. */
static void drop_answer(struct exchange *x)
{
    struct span body;
    bool last = x->up->response_done;
    for (size_t n = 0; !last && n <= DROPPED_MAX; n += body.len)
        if (up_read_body(x->up, &body, &last) != RC_OK)
            break;
    if (last)
        exchange_keep_up(x);
    else
        exchange_drop_up(x);
}

bool exchange_answer_unwanted(struct exchange *x, enum next *out)
{
    if (!retry_wants_status(x->retry, x->res.status) || !(x->second || may_retry(x, RETRY_ON_STATUS, false)))
        return false;
    count(&x->plane->counters.upstream_failures, 1);
    exchange_report_answer(x);
    drop_answer(x);
    *out = x->second ? exchange_go_on_second(x) : retry(x);
    return true;
}
