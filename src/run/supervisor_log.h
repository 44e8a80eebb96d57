#pragma once
/* supervisor_log: what the supervisor itself has to tell (a worker that died, an upgrade) goes to standard error, and
 * to the error log that the worker's configuration names: whoever looks there would miss it. */

/* From now on, for the calling thread, and in a binary that takes over. */
void supervisor_log_begin(void);
/* In a worker that was forked: its own sink comes later. */
void supervisor_log_end(void);
/* file: a file name, or "stderr". */
void supervisor_log_file(const char *file);
