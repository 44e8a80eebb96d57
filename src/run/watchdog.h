#pragma once
/* watchdog: a thread that looks whether a loop comes back from Lua. The budget of a hook stops what loops in Lua; what
 * stays inside one call of C (a pattern on hostile input) only an end of the process can stop. */
#include "run/loop_thread.h"
#include "run/writer.h"

struct watchdog;

/* supervisor: the descriptor to tell a quarantine to. save: called from the watchdog's thread before the worker ends;
 * it must come back soon. The loops must outlive the watchdog. */
struct watchdog *watchdog_start(struct loop_thread *loops, uint32_t count, struct writer *writer, int supervisor,
                                void (*save)(void));
/* How long Lua may keep a loop; 0: for ever. Any thread. */
void watchdog_set_limit(struct watchdog *w, uint32_t hard_ms);
void watchdog_stop(struct watchdog *w);
/* After the writer has ended. */
void watchdog_free(struct watchdog *w);
