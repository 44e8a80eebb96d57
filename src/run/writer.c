#include "run/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "proxy/generation.h"

enum {
    SINKS_MAX = WRITER_NO_SINK,
    CHUNK = 64 * 1024,          /* lines of one file that leave in one write */
    GATHER_MS = 20,             /* lines are gathered this long once there are any */
    RETRY_MS = 1000,            /* a file that cannot be opened is tried again */
};

struct sink {
    char *file;
    int fd;                     /* -1: not open */
    uint64_t retry_ms;
    bool failing;               /* said so already */
    char chunk[CHUNK];
    size_t len;
    uint64_t lines;             /* in the chunk */
};

struct writer {
    pthread_t thread;
    int event;
    _Atomic bool asleep, stop, reopen;
    _Atomic uint64_t lost;
    struct queue *queues[LOOPS_MAX + 4];
    int queue_count;
    pthread_mutex_t lock;       /* of the list of sinks */
    struct sink *sinks[SINKS_MAX];
    _Atomic uint32_t sink_count;
};

static struct sink *sink_new(struct slice file)
{
    struct sink *s = calloc(1, sizeof *s);
    if (!s || !(s->file = strndup(file.at, file.len)))
        abort();
    s->fd = -1;
    return s;
}

struct writer *writer_new(void)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    pthread_mutex_init(&w->lock, NULL);
    w->event = eventfd(0, EFD_CLOEXEC);
    if (w->event < 0)
        abort();
    w->sinks[0] = sink_new(SLICE_OF("stderr"));
    w->sink_count = 1;
    return w;
}

void writer_add_queue(struct writer *w, struct queue *q) { w->queues[w->queue_count++] = q; }

void writer_wake(struct writer *w)
{
    uint64_t one = 1;
    if (atomic_load_explicit(&w->asleep, memory_order_seq_cst) && atomic_exchange(&w->asleep, false) &&
        write(w->event, &one, sizeof one) < 0)
        return;                 /* the counter is full: it is awake */
}

uint32_t writer_sink(struct writer *w, struct slice file)
{
    uint32_t i;
    pthread_mutex_lock(&w->lock);
    for (i = 1; i < w->sink_count; i++)
        if (slice_equal(slice_text(w->sinks[i]->file), file))
            break;
    if (i == w->sink_count) {
        if (i == SINKS_MAX)
            i = SINKS_MAX;              /* the caller tells; its lines are lost and counted */
        else {
            w->sinks[i] = sink_new(file);
            w->sink_count++;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return i;
}

void writer_set_error_log(struct writer *w, struct slice file)
{
    pthread_mutex_lock(&w->lock);
    if (!slice_equal(slice_text(w->sinks[0]->file), file)) {
        free(w->sinks[0]->file);
        if (!(w->sinks[0]->file = strndup(file.at, file.len)))
            abort();
        atomic_store(&w->reopen, true);
    }
    pthread_mutex_unlock(&w->lock);
    writer_wake(w);
}

void writer_reopen(struct writer *w)
{
    atomic_store(&w->reopen, true);
    writer_wake(w);
}

uint64_t writer_lost(struct writer *w) { return atomic_load(&w->lost); }

/* -- the thread -- */

static void sink_close(struct sink *s)
{
    if (s->fd > STDERR_FILENO)
        close(s->fd);
    s->fd = -1;
    s->retry_ms = 0;
}

/* The name may be changed by the control thread: it is copied under the lock, and no file is touched meanwhile. */
static void name_of(struct writer *w, const struct sink *s, char *out, size_t size)
{
    pthread_mutex_lock(&w->lock);
    snprintf(out, size, "%s", s->file);
    pthread_mutex_unlock(&w->lock);
}

static void complain(struct writer *w, const struct sink *s, const char *what, int why)
{
    char name[PATH_MAX];
    name_of(w, s, name, sizeof name);
    dprintf(STDERR_FILENO, "tidegate: cannot %s the log file \"%s\": %s; its lines are lost and counted\n", what, name,
            strerror(why));
}

/* O_NONBLOCK: a named pipe that nobody reads is an error, not a wait. */
static int open_file(const char *file)
{
    int no_folder = folder_make_above(file);
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0 && no_folder)
        errno = no_folder;
    return fd;
}

static bool sink_open(struct writer *w, struct sink *s, uint64_t now_ms)
{
    if (s->fd >= 0)
        return true;
    if (now_ms < s->retry_ms)
        return false;
    char name[PATH_MAX];
    name_of(w, s, name, sizeof name);
    if (strcmp(name, "stderr") == 0)
        s->fd = STDERR_FILENO;
    else if (strcmp(name, "stdout") == 0)
        s->fd = STDOUT_FILENO;
    else
        s->fd = open_file(name);
    if (s->fd < 0 && !s->failing)
        complain(w, s, "open", errno);
    s->failing = s->fd < 0;
    s->retry_ms = now_ms + RETRY_MS;
    return s->fd >= 0;
}

static void sink_flush(struct writer *w, struct sink *s, uint64_t now_ms)
{
    size_t done = 0;
    if (!s->len)
        return;
    if (sink_open(w, s, now_ms)) {
        while (done < s->len) {
            ssize_t n = write(s->fd, s->chunk + done, s->len - done);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break;
            done += (size_t)n;
        }
        if (done < s->len && !s->failing) {
            complain(w, s, "write to", errno);
            s->failing = true;
        } else if (done == s->len) {
            s->failing = false;
        }
    }
    if (done < s->len)
        atomic_fetch_add(&w->lost, s->lines);
    s->len = 0;
    s->lines = 0;
}

static bool take_queue(struct writer *w, struct queue *q, uint64_t now_ms)
{
    uint32_t tag;
    struct slice line;
    bool any = false;
    for (int i = 0; i < 4096 && queue_peek(q, &tag, &line); i++) {
        any = true;
        struct sink *s = tag < w->sink_count ? w->sinks[tag] : NULL;
        if (!s) {
            atomic_fetch_add(&w->lost, 1);
            queue_release(q);
            continue;
        }
        if (s->len + line.len > CHUNK)
            sink_flush(w, s, now_ms);
        memcpy(s->chunk + s->len, line.at, line.len);
        s->len += line.len;
        s->lines++;
        queue_release(q);
    }
    return any;
}

static bool take_all(struct writer *w)
{
    bool any = false;
    uint64_t now_ms = clock_us() / 1000;
    if (atomic_exchange(&w->reopen, false))
        for (uint32_t i = 0; i < w->sink_count; i++)
            sink_close(w->sinks[i]);
    for (int i = 0; i < w->queue_count; i++)
        any |= take_queue(w, w->queues[i], now_ms);
    for (uint32_t i = 0; i < w->sink_count; i++)
        sink_flush(w, w->sinks[i], now_ms);
    return any;
}

static void *writer_run(void *who)
{
    struct writer *w = who;
    while (!atomic_load(&w->stop)) {
        if (take_all(w)) {
            struct timespec gather = { 0, GATHER_MS * 1000000L };
            nanosleep(&gather, NULL);
            continue;
        }
        atomic_store_explicit(&w->asleep, true, memory_order_seq_cst);
        if (take_all(w) || atomic_load(&w->stop)) {
            atomic_store(&w->asleep, false);
            continue;
        }
        uint64_t count;
        if (read(w->event, &count, sizeof count) < 0)
            continue;
    }
    while (take_all(w))
        ;
    return NULL;
}

void writer_start(struct writer *w)
{
    if (pthread_create(&w->thread, NULL, writer_run, w) != 0)
        abort();
}

static void ask_to_stop(struct writer *w)
{
    atomic_store(&w->stop, true);
    atomic_store(&w->asleep, true);
    writer_wake(w);
}

void writer_finish(struct writer *w, uint32_t max_ms)
{
    struct timespec until;
    ask_to_stop(w);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(max_ms % 1000) * 1000000L;
    until.tv_sec += (time_t)(max_ms / 1000) + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_timedjoin_np(w->thread, NULL, &until);    /* a disk that takes longer: its lines are lost */
}

void writer_stop(struct writer *w)
{
    ask_to_stop(w);
    pthread_join(w->thread, NULL);
    for (uint32_t i = 0; i < w->sink_count; i++) {
        sink_close(w->sinks[i]);
        free(w->sinks[i]->file);
        free(w->sinks[i]);
    }
    pthread_mutex_destroy(&w->lock);
    close(w->event);
    free(w);
}
