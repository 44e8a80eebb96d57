#pragma once
/* clock: a loop's cached time, refreshed once per tick, and the strings made of it, formatted at most once a second. */
#include "base/slice.h"

struct clock {
    uint64_t now_ms;            /* monotonic, cached */
    uint64_t wall_ms;           /* since the epoch, cached */
    uint64_t second;            /* the wall second that the strings below are for */
    char date[40];              /* "Sun, 06 Nov 1994 08:49:37 GMT", RFC 9110 section 5.6.7; 29 bytes */
    char iso[40];               /* "1994-11-06T08:49:37", 19 bytes; milliseconds and Z are the writer's */
    char common[40];            /* "06/Nov/1994:08:49:37 +0000", 26 bytes */
};

/* Reads both clocks. */
void clock_tick(struct clock *c);

/* "Date" value of the cached time. */
static inline struct slice clock_date(const struct clock *c) { return slice_make(c->date, 29); }

/* The kernel's monotonic clock, now, in microseconds: for measuring. */
uint64_t clock_us(void);
/* The time since the epoch, now, in microseconds. */
uint64_t clock_wall_us(void);

/* CPU time that the calling thread has had, in nanoseconds. A call into the kernel. */
uint64_t clock_cpu_ns(void);

/* For specs: both clocks of the process stand still at this point, until they are set anew or run again. A process with
 * other threads must not do that. */
void clock_freeze(uint64_t us, uint64_t wall_us);
void clock_thaw(void);
