#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static void format_strings(struct clock *c)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t second = (time_t)c->second;
    struct tm t;
    gmtime_r(&second, &t);
    unsigned year = (unsigned)t.tm_year + 1900;
    const char *month = months + 3 * (t.tm_mon % 12), *day = days + 3 * (t.tm_wday % 7);
    snprintf(c->date, sizeof c->date, "%.3s, %02d %.3s %04u %02d:%02d:%02d GMT", day, t.tm_mday, month,
             year % 10000, t.tm_hour, t.tm_min, t.tm_sec);
    snprintf(c->iso, sizeof c->iso, "%04u-%02d-%02dT%02d:%02d:%02d", year % 10000, t.tm_mon + 1,
             t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    snprintf(c->common, sizeof c->common, "%02d/%.3s/%04u:%02d:%02d:%02d +0000", t.tm_mday, month, year % 10000,
             t.tm_hour, t.tm_min, t.tm_sec);
}

static uint64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct { bool on; uint64_t us, wall_us; } frozen;

uint64_t clock_us(void) { return frozen.on ? frozen.us : read_us(CLOCK_MONOTONIC); }
uint64_t clock_wall_us(void) { return frozen.on ? frozen.wall_us : read_us(CLOCK_REALTIME); }

uint64_t clock_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void clock_freeze(uint64_t us, uint64_t wall_us)
{
    frozen.on = true;
    frozen.us = us;
    frozen.wall_us = wall_us;
}

void clock_thaw(void) { frozen.on = false; }

void clock_tick(struct clock *c)
{
    c->now_ms = clock_us() / 1000;
    c->wall_ms = clock_wall_us() / 1000;
    if (c->wall_ms / 1000 != c->second) {
        c->second = c->wall_ms / 1000;
        format_strings(c);
    }
}
