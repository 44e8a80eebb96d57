#include "base/pace.h"

#include <time.h>

#include "base/clock.h"

enum {
    SHORT_US = 15000,           /* running for longer in all is long work */
    RUN_US = 200, REST_US = 500,
    /* A loop that got its turn keeps it as long as there is something to do: how long the rest is hardly counts. */
    LONG_RUN_US = 700, LONG_REST_US = 10,
};

_Thread_local struct pace pace_of_thread;

void pace_begin(void) { pace_of_thread = (struct pace){ .is_on = true, .since_us = clock_us() }; }

void pace_end(void) { pace_of_thread = (struct pace){ 0 }; }

bool pace_is_long(void) { return pace_of_thread.ran_us >= SHORT_US; }

void pace_look(void)
{
    struct pace *p = &pace_of_thread;
    bool is_long = pace_is_long();
    uint64_t run_us = clock_us() - p->since_us;
    if (!p->is_on || run_us < (is_long ? LONG_RUN_US : RUN_US))
        return;
    p->ran_us += run_us;
    struct timespec rest = { 0, (is_long ? LONG_REST_US : REST_US) * 1000 };
    (void)nanosleep(&rest, NULL);               /* a signal cuts it short: no harm */
    p->since_us = clock_us();
}
