/* The exchange that does not wait for one connection alone (happy eyeballs, RFC 8305 section 5): where a node takes
 * long to be reached, another one is tried beside it, and the connection that is open first gets the request. Nothing
 * of it has been sent by then, so it may be any request.
 *
 * There are two at a time, in STEP_CONNECT. x->up is always the one that was begun first: its time is over first, and
 * the other takes its place then. So the second needs no clock of its own. */
#include "proxy/adhoc.h"
#include "proxy/steps.h"

/* -- which other node -- */

typedef bool pair_fn(const struct node *a, const struct node *b);

static bool is_other_name(const struct node *a, const struct node *b)
{
    return a == b || a->addr.u.any.sa_family == AF_UNIX || strcmp(a->host_port, b->host_port) != 0;
}

static bool is_same_family(const struct node *a, const struct node *b)
{
    return a->addr.u.any.sa_family == b->addr.u.any.sa_family;
}

/* The service's nodes that are so to the one in hand, as bits of struct pick.tried. */
static uint64_t bits_of(const struct exchange *x, pair_fn *is_so)
{
    const struct service *s = x->service;
    uint64_t bits = 0;
    for (uint32_t i = 0; i < s->node_count; i++)
        if (is_so(x->node, s->nodes[i]))
            bits |= 1ull << (i & 63);
    return bits;
}

static bool has_beside(const struct exchange *x, uint64_t tried)
{
    struct pick p = { .tried = tried };
    return balancer_has_other(&p, x->service, x->plane->index, loop_of(x)->clock.now_ms);
}

/* A key that decides which node it is leaves the choice among the addresses of that one. Where one family cannot be
 * reached at all, the other one can: it comes first (RFC 8305 section 4). */
static bool find_beside(const struct exchange *x, uint64_t *tried)
{
    const struct service_settings *s = &x->service->settings;
    bool is_by_key = s->balance == BALANCE_IP_HASH || s->balance == BALANCE_CONSISTENT_HASH;
    *tried = x->pick.tried;
    if (is_by_key && x->pick.has_hash)
        *tried |= bits_of(x, is_other_name);
    uint64_t best = *tried | bits_of(x, is_same_family);
    if (has_beside(x, best)) {
        *tried = best;
        return true;
    }
    return has_beside(x, *tried);
}

/* -- the race -- */

/* One node more than without a race. */
static bool may_race(const struct exchange *x)
{
    if (x->adhoc)
        return adhoc_has_more(x->adhoc);
    return !x->sticks && !x->service->only && x->tries < 2 + x->retry->attempts;
}

static void begin(struct exchange *x)
{
    uint64_t tried = 0;
    touch(x, WAIT_SECOND);
    if (!x->adhoc && !find_beside(x, &tried))
        return;
    enum rc rc = exchange_begin_second(x, tried);
    if (rc == RC_NO_NODE || rc == RC_AGAIN || rc == RC_NODE_FULL || rc == RC_FULL)
        return;
    count(&x->plane->counters.upstream_races, 1);
}

/* A node that says nothing at all to a connect, for longer than it may and while another one answers, has failed: where
 * it is always saved by others its time-outs would never come. Who only takes long over TLS has not. */
static void note_loser(struct exchange *x, struct node *n, const struct up *u, uint64_t try_us, uint64_t since_ms)
{
    uint64_t now_ms = loop_of(x)->clock.now_ms;
    bool has_failed = up_is_unanswered(u) && now_ms - since_ms >= x->service->settings.connect_delay_ms;
    if (x->adhoc && has_failed)
        adhoc_blame(x->adhoc, n);
    if (!try_us)
        return;
    if (has_failed)
        service_report(x->service, n, false, "no answer to a connect that another node has answered",
                       clock_us() - try_us, now_ms);
    else
        service_note_slow(x->service, n, clock_us() - try_us, now_ms);
}

enum rc exchange_race(struct exchange *x)
{
    if (!x->second && may_race(x)) {
        uint64_t since_ms = x->since_ms[__builtin_ctz(WAIT_SECOND)];
        if (loop_of(x)->clock.now_ms >= since_ms + x->service->settings.connect_delay_ms)
            begin(x);
        if (!x->second)
            wait_for(x, WAIT_SECOND);
    }
    if (!x->second)
        return RC_AGAIN;
    struct second *s = x->second;
    enum rc rc = s->reused ? RC_OK : up_check(s->up);
    if (rc == RC_OK) {
        note_loser(x, x->node, x->up, x->try_us, x->since_ms[__builtin_ctz(WAIT_CONNECT)]);
        exchange_take_second(x);
    } else if (rc != RC_AGAIN) {
        exchange_warn(x, s->node, rc_word(rc), s->up);
        exchange_fail_second(x, false, rc_word(rc));
        if (may_race(x))
            wait_for(x, WAIT_SECOND);
        rc = RC_AGAIN;
    }
    return rc;
}

void exchange_end_race(struct exchange *x)
{
    const struct second *s = x->second;
    if (!s)
        return;
    note_loser(x, s->node, s->up, s->try_us, s->since_ms);
    exchange_drop_second(x);
}
