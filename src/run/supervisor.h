#pragma once
/* supervisor: the first process. It holds the listening sockets, starts the worker, starts it again when it dies, hands
 * over to a new binary, and forwards signals. It does no I/O for traffic and links no state to any request. */
#include <stdbool.h>

struct supervisor_options {
    const char *config;             /* main file, absolute */
    const char *overrides;          /* --set and --env, a word a line, or NULL */
    bool detach;                    /* go to the background when ready */
    char **argv;                    /* for the hand-over to a new binary */
};

/* Runs until stopped; gives the exit code. With detach, the calling process gets the code as soon as the gateway is
 * ready or has failed. */
int supervisor_run(const struct supervisor_options *options);
