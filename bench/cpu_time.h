#pragma once
/* cpu_time: the CPU time that processes have used, with all their threads, in nanoseconds.
 * /proc/PID/task/TID/schedstat counts what the scheduler measured, not ticks; for a thread that is running it lags by a
 * tick at most. */
#include "machine.h"
#include <dirent.h>

#define CPU_TIME_MAX_PROCESSES 64

struct cpu_time {
    int pid[CPU_TIME_MAX_PROCESSES];
    int processes;
};

/* "12,13,14" */
static inline void cpu_time_parse(struct cpu_time *c, const char *pids)
{
    c->processes = 0;
    while (*pids) {
        char *end;
        long pid = strtol(pids, &end, 10);
        if (end == pids || (*end && *end != ',') || c->processes == CPU_TIME_MAX_PROCESSES)
            die("--watch: expected process ids with commas between them, found %s", pids);
        c->pid[c->processes++] = (int)pid;
        pids = *end ? end + 1 : end;
    }
}

static inline uint64_t cpu_time_thread(int pid, const char *thread)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;                           /* the thread has just ended */
    unsigned long long ns = 0;
    if (fscanf(file, "%llu", &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

static inline uint64_t cpu_time_read(const struct cpu_time *c)
{
    uint64_t ns = 0;
    for (int i = 0; i < c->processes; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", c->pid[i]);
        DIR *threads = opendir(path);
        if (!threads)
            die("process %d, whose CPU time is asked for, is gone", c->pid[i]);
        for (struct dirent *thread; (thread = readdir(threads));)
            if (thread->d_name[0] != '.')
                ns += cpu_time_thread(c->pid[i], thread->d_name);
        closedir(threads);
    }
    return ns;
}
