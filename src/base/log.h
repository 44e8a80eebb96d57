#pragma once
/* log: one event, one line: time, level, where, what, key=value... Lines go to the calling thread's sink, which in the
 * worker is the writer thread's queue and elsewhere standard error. Values are escaped: one event stays one line. */
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Takes one finished line, ending in LF; must not keep it. */
typedef void log_sink_fn(void *who, struct slice line);

/* For the calling thread; NULL: standard error. */
void log_set_sink(log_sink_fn *write, void *who);
/* For the process; events below it are dropped. */
void log_set_level(enum log_level level);

/* log_error("listener", "cannot bind", "address", address, "why", strerror(errno)): keys and values in pairs,
 * NUL-terminated. A pair without a value (NULL) is left out. */
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__, (char *)NULL)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__, (char *)NULL)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__, (char *)NULL)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__, (char *)NULL)
__attribute__((sentinel)) void log_event(enum log_level level, const char *where, const char *what, ...);

/* The same with further pairs: keys and values, each with a NUL behind it. */
#define log_pairs(level, where, what, pairs, ...) log_event_pairs(level, where, what, pairs, __VA_ARGS__, (char *)NULL)
__attribute__((sentinel)) void log_event_pairs(enum log_level level, const char *where, const char *what,
                                               struct slice pairs, ...);
enum log_level log_lowest_level(void);

/* A slice or a number as a value; lives until eight more of them were made in this thread. */
const char *log_slice(struct slice s);
const char *log_number(uint64_t n);
