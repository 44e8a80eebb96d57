#pragma once
/* handover: what survives the exec of a new supervisor binary in the place of the old one: listening sockets, the lock
 * of the pid file, and the worker that goes on serving meanwhile. It travels in one environment variable. */
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "net/addr.h"
#include "proxy/generation.h"

struct held {                       /* the sockets of one listen address */
    struct held *next;
    char address[ADDR_TEXT];        /* as configured: its identity */
    char real[ADDR_TEXT];           /* with the real port */
    int fds[LOOPS_MAX];
    int count;
};

struct handover {
    struct held *held;
    pid_t worker, old_worker;       /* 0: none */
    int channel, old_channel, pid_fd;       /* -1: none */
    char pid_file[PATH_MAX];
    bool inherited;
};

void handover_init(struct handover *h);
struct held *handover_find(struct handover *h, const char *address);
struct held *handover_add(struct handover *h, const char *address, const struct addr *real, const int *fds, int count);
void handover_remove(struct handover *h, const char *address);
void handover_close_listeners(struct handover *h);
/* In a child that must not keep any of it. */
void handover_close(struct handover *h);

/* Puts everything into the environment and lets it survive exec; and back again when exec failed. */
void handover_export(struct handover *h);
void handover_unexport(struct handover *h);
/* Takes what the environment holds, if anything. */
void handover_import(struct handover *h);
bool handover_waits(void);
