#pragma once
/* report: errors of plugins in the log, each once a second at most, with the count of those that were left out. */
#include "lua/coroutine.h"

/* The error on top of a coroutine that has failed, with its traceback, plugin, hook, route and request. */
void report_failure(struct coroutine *co);
/* The same for an error found outside. */
void report_text(struct coroutine *co, const char *text);

/* Where the coroutine in hand is, as "file:line | file:line", into out. For a thread that is stuck: it runs in a signal
 * handler, in the middle of whatever the thread does. That is no place to ask Lua anything, but the process ends
 * anyway, and what blocks is a function of C that Lua has called, with Lua's own stack in order. */
void report_where(const struct vm *vm, char *out, size_t size);
