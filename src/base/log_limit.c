#include "base/log_limit.h"

#include "base/clock.h"
#include "base/log.h"

enum { EVENTS_MAX = 10 };

bool log_limit_passes(struct log_limit *l, const char *where)
{
    uint64_t second = clock_us() / 1000000;
    if (second != l->second) {
        uint32_t held = l->events > EVENTS_MAX ? l->events - EVENTS_MAX : 0;
        *l = (struct log_limit){ .second = second };
        if (held)
            log_info(where, "similar events were not told", "events", log_number(held));
    }
    return ++l->events <= EVENTS_MAX;
}
