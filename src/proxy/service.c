#include "proxy/service.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/log_limit.h"
#include "net/dial.h"

enum rc service_connect(const struct service *s, const struct node *n, struct loop *loop, struct freelist *ups,
                        struct up **out)
{
    struct tls_context *tls = n->is_adhoc ? n->tls : s->tls;
    bool named = !n->is_adhoc && s->settings.tls_server_name.len;
    *out = up_connect(loop, ups, &n->addr, tls, named ? s->settings.tls_server_name.at : n->host);
    if (*out)
        return RC_OK;
    int why = errno;
    if (dial_lacks_sockets(why)) {
        static _Thread_local struct log_limit limit;
        if (log_limit_passes(&limit, "upstream"))
            log_error("upstream", "the gateway has no more sockets", "why", strerror(why), "node", n->text);
        return RC_FULL;
    }
    return why == ECONNREFUSED || why == ENOENT ? RC_REFUSED : RC_UNREACHABLE;
}

void service_keep(const struct service *s, const struct node *n, uint32_t loop, struct up *u)
{
    struct pool *pool = node_pool(n, loop);
    bool is_leaving = atomic_load_explicit(&n->is_leaving, memory_order_relaxed);
    if (!up_is_reusable(u) || is_leaving || pool_is_worn(u, &s->settings)) {
        up_close(u);
        return;
    }
    h1_input_reset(&u->input);
    if (!u->counted_by || !supply_offer(u->counted_by, n, pool, u))
        pool_put(pool, u, &s->settings);
}

bool service_took_nothing(const struct up *u, enum rc rc)
{
    return !u->got_bytes && (u->sent == u->sent_before || (rc == RC_EOF && up_sent_nothing(u)));
}

void service_report(const struct service *s, struct node *n, bool is_good, const char *why, uint64_t us,
                    uint64_t now_ms)
{
    enum { FAILED_US = 1000000 };       /* a node that fails at once is not a fast one */
    if (s->settings.balance == BALANCE_LEAST_LATENCY)
        node_latency_note(n->state, is_good || us > FAILED_US ? us : FAILED_US, now_ms);
    if (s->settings.passive.is_on)
        health_report(s, n->state, is_good, why, now_ms);
}

void service_note_slow(const struct service *s, struct node *n, uint64_t us, uint64_t now_ms)
{
    if (s->settings.balance == BALANCE_LEAST_LATENCY)
        node_latency_note(n->state, us, now_ms);
}
