#pragma once
/* breaker: requests are not sent where most of them fail, or are slow: they are answered at once, until a few that are
 * let through show that it is worth while again. One state for all loops, under one lock, kept over reloads: what it
 * counts and how many it lets through is exact.
 *
 * closed -> open: in the window, enough requests and too large a share of failures, or of slow answers
 * open -> half open: after a while. So many requests are let through at a time
 * half open -> closed: as many have succeeded; -> open: one has failed */
#include "base/lock.h"
#include "base/rc.h"
#include "base/slice.h"
#include "proxy/settings.h"
#include "proxy/window.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    const char *kind;                   /* for the log: "service" or "route" */
    struct slice name;                  /* its */
    struct lock lock;
    enum breaker_state state;
    uint32_t turn;                      /* grows with each change of state */
    uint32_t probes, successes;         /* under way, and done, since it is half open */
    uint32_t opened;                    /* how often, ever */
    uint64_t until_ms;                  /* while it is open */
    struct window window;
};

/* One request's leave; its end must be told once, by breaker_report or breaker_cancel. */
struct breaker_leave {
    struct breaker *breaker;            /* NULL: none, or it was told */
    const struct breaker_settings *settings;
    uint32_t turn;
    uint64_t since_ms;
};

/* Closed. kind and name live as long as it does. */
void breaker_init(struct breaker *b, const char *kind, struct slice name);
/* RC_OK: *leave is for this request. RC_OPEN: answer at once; *wait_ms until it is worth while to ask again. */
enum rc breaker_ask(struct breaker *b, const struct breaker_settings *s, uint64_t now_ms, struct breaker_leave *leave,
                    uint64_t *wait_ms);
/* How it went, at the head of the answer. */
void breaker_report(struct breaker_leave *leave, bool is_bad, uint64_t now_ms);
void breaker_give_back(struct breaker_leave *leave);        /* private: the slow path of breaker_cancel */
/* It has ended for a reason that says nothing about that. Nothing to do where there is no leave. */
static inline void breaker_cancel(struct breaker_leave *leave)
{
    if (leave->breaker)
        breaker_give_back(leave);
}

/* Control thread: a generation with these settings is published. */
void breaker_settle(struct breaker *b, const struct breaker_settings *s);
const char *breaker_word(enum breaker_state state);
