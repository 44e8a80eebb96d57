#pragma once
/* machine: what the bench programs ask of the machine: a clock, a core, open files, and a last word.
 * Times are nanoseconds of the monotonic clock. Nothing here returns an error: a bench program that cannot have what it
 * needs says so and ends with status 1. */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_S 1000000000ull

_Noreturn static inline void die(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline void pin_to_core(int core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0)
        die("cannot run on core %d: %s", core, strerror(errno));
}

/* The soft limit of open files becomes the hard one. */
static inline void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        die("cannot read the limit of open files: %s", strerror(errno));
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        die("cannot raise the limit of open files to %llu: %s", (unsigned long long)files.rlim_max, strerror(errno));
}

/* A socket option that what is measured rests on. */
static inline void socket_set(int fd, int level, int option, const void *value, size_t len)
{
    if (setsockopt(fd, level, option, value, (socklen_t)len) != 0)
        die("cannot set option %d of a socket: %s", option, strerror(errno));
}

/* On a core shared by several bench programs, a wake-up does not interrupt the one that runs: it finishes its batch.
 * Fewer switches make that core faster than the one with the proxy, which is what must be the narrow place. */
static inline void wait_in_turn(void)
{
    const struct sched_param none = { 0 };
    (void)sched_setscheduler(0, SCHED_BATCH, &none);        /* refused, the figures are only less steady */
}

/* A number of an option, from least to most. */
static inline double parse_number(const char *option, const char *text, double least, double most)
{
    char *end;
    double number = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !(number >= least && number <= most))
        die("%s: expected a number from %.0f to %.0f, found %s", option, least, most, text ? text : "nothing");
    return number;
}
