#include "run/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#ifndef TIDEGATE_VERSION
#define TIDEGATE_VERSION "0.1.0"
#endif

extern const char tide_cdef_text[];

static struct command wanted;

void tide_command(int mode, const char *config, const char *overrides)
{
    char here[PATH_MAX];
    wanted.mode = mode;
    /* Absolute, but symlinks stay: whoever swaps one wants the new target to be read. */
    if (config[0] == '/' || !getcwd(here, sizeof here))
        wanted.config = strdup(config);
    else if (asprintf(&wanted.config, "%s/%s", here, config) < 0)
        abort();
    wanted.overrides = overrides ? strdup(overrides) : NULL;
}

const struct command *command_wanted(void) { return &wanted; }

int tide_pid_alive(const char *pid_file)
{
    char text[32] = "";
    int fd = open(pid_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    /* Whoever runs holds the lock; a file without one is left over from a crash. */
    bool stale = flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    close(fd);
    return n <= 0 || stale ? 0 : (int)strtol(text, NULL, 10);
}

int tide_signal(int pid, int signal_number) { return pid > 1 ? kill(pid, signal_number) : -1; }

void tide_sleep_ms(uint32_t ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

const char *tide_version(void) { return TIDEGATE_VERSION; }

const char *tide_cdef(void);
const char *tide_cdef(void) { return tide_cdef_text; }
