#pragma once
/* log_limit: bounds how often an event is told that any peer can bring about. Ten in a second are; of the others only
 * how many they were, when the next one comes. One for each kind of event and thread. */
#include <stdbool.h>
#include <stdint.h>

struct log_limit { uint64_t second; uint32_t events; };         /* all zero at first */

/* True when the event may be told; where: as log_event has it. */
bool log_limit_passes(struct log_limit *l, const char *where);
