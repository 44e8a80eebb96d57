#include "base/pace.h"

#include <time.h>

#include "base/clock.h"

enum {
    RUN_US = 200,               /* in one go */
    SHORT_US = 15000,           /* running for longer in all is long work */
    LATE_US = 400000,           /* since the begin: now it is to come to its end */
    REST_US = 500, LONG_REST_US = 150, LATE_REST_US = 10,
};

_Thread_local struct pace pace_of_thread;

void pace_begin(void) { pace_of_thread = (struct pace){ .began_us = clock_us(), .since_us = clock_us() }; }

void pace_end(void) { pace_of_thread = (struct pace){ 0 }; }

bool pace_is_long(void) { return pace_of_thread.ran_us >= SHORT_US; }

void pace_look(void)
{
    struct pace *p = &pace_of_thread;
    uint64_t now_us = clock_us(), run_us = now_us - p->since_us;
    if (!p->began_us || run_us < RUN_US)
        return;
    p->ran_us += run_us;
    long rest_us = !pace_is_long() ? REST_US : now_us - p->began_us < LATE_US ? LONG_REST_US : LATE_REST_US;
    (void)nanosleep(&(struct timespec){ 0, rest_us * 1000 }, NULL);     /* a signal cuts it short: no harm */
    p->since_us = clock_us();
}
