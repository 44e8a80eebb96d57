#pragma once
/* keep_alive: what a peer says of how long it keeps a connection, "timeout=5, max=100" (RFC 2068 section 19.7.1.1). No
 * standard has it any more, but most servers send it. What cannot be read says nothing. */
#include <stdint.h>

#include "base/slice.h"

enum { KEEP_ALIVE_SECONDS_MAX = 1000000 };

struct keep_alive {
    uint32_t idle_ms;                   /* while it is idle; 0: not said */
    bool has_max;
    uint32_t max;                       /* requests, where has_max: of those to come, or of all; peers differ */
};

/* Reads one field; of a thing that is said twice the last counts. */
struct keep_alive keep_alive_read(struct slice list);
