#pragma once
/* retry: whether what has failed may be tried again. What is said of it is kept here: which ends of a try ask for
 * another one, which methods a node may get twice, how long is waited before nodes are asked again, and the budget: a
 * share of a service's requests, so that retries do not finish off what has too much to do already.
 *
 * The budget counts tries that follow one which a node may have worked on. A connection that was never made costs a
 * service nothing: another node is asked whatever the budget says. */
#include <stdatomic.h>
#include <stdbool.h>

#include "base/lock.h"
#include "base/random.h"
#include "http/request.h"
#include "proxy/settings.h"
#include "proxy/window.h"

enum { RETRY_SECONDS = 10 };            /* that a budget looks back */

/* All loops share one; kept over reloads. All zero: nothing was asked. */
struct retry_budget {
    _Atomic uint64_t requests[RETRY_SECONDS];   /* by second: its number in the upper half, requests in the lower */
    struct lock lock;
    struct window spent;
};

/* One more request; however many tries it takes, it counts once. */
void retry_count(struct retry_budget *b, uint64_t now_ms);
/* Takes one retry out of the budget; false: there is none left. Exact over all loops: of n requests in the last
 * seconds no more than their share, or the least number, are sent again. */
bool retry_spend(struct retry_budget *b, const struct retry_settings *s, uint64_t now_ms);

/* What counts for a route: its own keys, and the service's for the rest. A route that limits a try wants another one
 * when that is over, unless it says what it wants. */
void retry_merge(const struct retry_settings *service, const struct retry_settings *route, struct retry_settings *out);

/* Milliseconds until nodes that were asked already are asked again, for the n-th time (from 0): anything up to a bound
 * that doubles each time. */
uint32_t retry_backoff(const struct retry_settings *s, unsigned n, struct random *random);

/* Whether a node may get such a request twice. */
static inline bool retry_repeats(const struct retry_settings *s, enum method m) { return s->methods >> m & 1; }

static inline bool retry_wants_status(const struct retry_settings *s, int status)
{
    return s->on & RETRY_ON_STATUS && status < 600 && s->statuses[status / 64] >> (status % 64) & 1;
}
