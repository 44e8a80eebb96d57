#include "proxy/breaker.h"

#include "base/log.h"

static const char *const words[] = {
    [BREAKER_CLOSED] = "closed",
    [BREAKER_OPEN] = "open",
    [BREAKER_HALF_OPEN] = "half open",
};

void breaker_init(struct breaker *b, const char *kind, struct slice name)
{
    *b = (struct breaker){ .kind = kind, .name = name };
}

const char *breaker_word(enum breaker_state state) { return words[state]; }

/* Requests from before do not count any more. */
static void change(struct breaker *b, enum breaker_state state, const char *reason)
{
    b->state = state;
    b->turn++;
    b->probes = b->successes = 0;
    window_clear(&b->window);
    if (state == BREAKER_OPEN)
        log_warn("breaker", "open", b->kind, log_slice(b->name), "reason", reason);
    else
        log_info("breaker", words[state], b->kind, log_slice(b->name), "reason", reason);
}

static void open_up(struct breaker *b, const struct breaker_settings *s, uint64_t now_ms, const char *reason)
{
    b->opened++;
    b->until_ms = now_ms + s->open_ms;
    change(b, BREAKER_OPEN, reason);
}

enum rc breaker_ask(struct breaker *b, const struct breaker_settings *s, uint64_t now_ms, struct breaker_leave *leave,
                    uint64_t *wait_ms)
{
    enum rc rc = RC_OK;
    lock_take(&b->lock);
    if (b->state == BREAKER_OPEN && now_ms >= b->until_ms)
        change(b, BREAKER_HALF_OPEN, "its time is over");
    if (b->state == BREAKER_OPEN || (b->state == BREAKER_HALF_OPEN && b->probes + b->successes >= s->probes))
        rc = RC_OPEN;
    else if (b->state == BREAKER_HALF_OPEN)
        b->probes++;
    *leave = (struct breaker_leave){ rc == RC_OK ? b : NULL, s, b->turn, now_ms };
    *wait_ms = b->state == BREAKER_OPEN ? b->until_ms - now_ms : 1000;
    lock_leave(&b->lock);
    return rc;
}

static void judge(struct breaker *b, const struct breaker_settings *s, uint64_t now_ms)
{
    struct window_counts sum = window_sum(&b->window, s->window_ms, now_ms);
    if (sum.all < s->min_requests)
        return;
    if (s->error_percent && (uint64_t)sum.bad * 100 >= (uint64_t)sum.all * s->error_percent)
        open_up(b, s, now_ms, "failures");
    else if (s->slow_ms && (uint64_t)sum.slow * 100 >= (uint64_t)sum.all * s->slow_percent)
        open_up(b, s, now_ms, "slow answers");
}

void breaker_report(struct breaker_leave *leave, bool is_bad, uint64_t now_ms)
{
    struct breaker *b = leave->breaker;
    const struct breaker_settings *s = leave->settings;
    if (!b)
        return;
    leave->breaker = NULL;
    bool is_slow = s->slow_ms && now_ms - leave->since_ms >= s->slow_ms;
    lock_take(&b->lock);
    if (leave->turn == b->turn && b->state == BREAKER_HALF_OPEN) {
        b->probes--;
        if (is_bad || is_slow)
            open_up(b, s, now_ms, is_bad ? "a probe failed" : "a probe was slow");
        else if (++b->successes >= s->probes)
            change(b, BREAKER_CLOSED, "probes succeeded");
    } else if (leave->turn == b->turn && b->state == BREAKER_CLOSED) {
        window_add(&b->window, s->window_ms, now_ms, is_bad, is_slow);
        if (is_bad || is_slow)
            judge(b, s, now_ms);
    }
    lock_leave(&b->lock);
}

void breaker_give_back(struct breaker_leave *leave)
{
    struct breaker *b = leave->breaker;
    leave->breaker = NULL;
    lock_take(&b->lock);
    if (leave->turn == b->turn && b->state == BREAKER_HALF_OPEN)
        b->probes--;
    lock_leave(&b->lock);
}

void breaker_settle(struct breaker *b, const struct breaker_settings *s)
{
    lock_take(&b->lock);
    window_clear(&b->window);           /* its length may be another one */
    if (!s->is_on && b->state != BREAKER_CLOSED) {
        b->state = BREAKER_CLOSED;
        b->turn++;
    }
    lock_leave(&b->lock);
}
