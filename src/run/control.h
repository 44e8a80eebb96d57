#pragma once
/* control: the worker's control thread. It compiles configurations into generations, publishes them to the loops,
 * watches files, answers the control socket, and takes the worker up and down. It never touches traffic. */
#include <stdbool.h>
#include <stdint.h>

struct generation;
struct loop_thread;

struct control_options {
    const char *config;         /* main file, absolute */
    const char *overrides;      /* --set and --env, a word a line; may be NULL */
    int channel;                /* to the supervisor */
};

/* Runs the whole life of a worker process in the calling thread; gives its exit code. */
int control_run(const struct control_options *options);

/* The loops of this process; none before they are started. */
struct loop_thread *control_loops(uint32_t *count);
/* The one in force; NULL before the first. In the control thread only. */
const struct generation *control_generation(void);
