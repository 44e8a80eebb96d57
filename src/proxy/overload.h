#pragma once
/* overload: so many requests of a service at a time, over all loops; others wait for a moment, or are answered 503 at
 * once. The limit is fixed, or found by how long answers take (proxy/adaptive). Kept over reloads. */
#include "proxy/adaptive.h"
#include "proxy/gate.h"
#include "proxy/settings.h"

struct overload {
    struct gate gate;
    /* As the configuration in force says; under the gate's lock. */
    bool is_adaptive;
    uint32_t least, most;
    struct adaptive adaptive;
};

/* One request's place. */
struct overload_place {
    struct overload *overload;          /* NULL: none */
    uint64_t since_us;                  /* as long as the answer has not begun; else 0 */
};

/* Control thread: a service with these settings is published. */
void overload_settle(struct overload *o, const struct overload_settings *s);

/* As gate_enter, and again with the ticket. RC_OK: *p is taken; RC_OVERLOAD: no. */
enum rc overload_enter(struct overload *o, struct loop *loop, struct freelist *tickets, struct task *wake,
                       struct ticket **t, struct overload_place *p);
/* The answer has begun. is_fair: how long that took says something about the service's load. */
void overload_note(struct overload_place *p, bool is_fair, struct loop *here);
/* The place is free; nothing to do where there is none. */
void overload_leave(struct overload_place *p, struct loop *here);
