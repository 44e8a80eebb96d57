#pragma once
/* writer: the only thread of the worker that may block. It takes lines from the queues of the other threads and writes
 * them to their files. Loops never wait for it: when its disk is slow or full, lines are lost and counted. */
#include "base/queue.h"
#include "base/slice.h"

struct writer;

enum {
    WRITER_ERROR_LOG = 0,               /* the sink that always exists */
    WRITER_NO_SINK = 64,                /* there are as many as there may be: lines with this tag are lost */
};

struct writer *writer_new(void);
/* Starts the thread; queues must not be added any more. */
void writer_start(struct writer *w);
/* Writes what is queued, ends the thread and frees. */
void writer_stop(struct writer *w);
/* Writes what is queued, for at most this long; nothing is written after it. For a worker that ends in the middle. */
void writer_finish(struct writer *w, uint32_t max_ms);

/* A queue to take lines from; before writer_start. */
void writer_add_queue(struct writer *w, struct queue *q);
/* Call after queue_commit; cheap when the writer is awake. Any thread. */
void writer_wake(struct writer *w);

/* The tag of a file ("stderr", "stdout" or a path), the same one for the same file. Opens it at the next turn. Any
 * thread. */
uint32_t writer_sink(struct writer *w, struct slice file);
/* Where WRITER_ERROR_LOG goes. */
void writer_set_error_log(struct writer *w, struct slice file);
/* Closes and opens every file: after a rotation. */
void writer_reopen(struct writer *w);

/* Lines that could not be written. */
uint64_t writer_lost(struct writer *w);
