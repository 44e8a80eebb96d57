#include "run/watchdog.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "lua/report.h"
#include "run/channel.h"
#include "run/quarantine.h"

enum {
    LOOK_MS = 20,
    LATE_MS = 100,              /* no more than this counts of the time between two looks */
    TRACE_MS = 200,
    FLUSH_MS = 1000,
    LOG_RING = 1 << 16,
    TRACE_BYTES = 1200,
    EXIT_STUCK = 3,
};

/* What was seen of a loop, over several looks. */
struct seen {
    uint64_t entries;                   /* vm.entries at the last look */
    uint64_t looked_us, cpu_us;         /* when that was, and the CPU time of the loop's thread then */
    uint64_t busy_us;                   /* that one call of Lua has had, as far as was seen */
    bool warned;
};

struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop_now;
    bool stopping;
    _Atomic uint32_t hard_ms;
    struct loop_thread *loops;
    uint32_t count;
    struct writer *writer;
    struct queue log;
    int supervisor;
    void (*save)(void);
    struct seen seen[LOOPS_MAX];
};

static void log_line(void *who, struct slice line)
{
    struct watchdog *w = who;
    char *at = queue_reserve(&w->log, (uint32_t)line.len);
    if (!at)
        return;
    memcpy(at, line.at, line.len);
    queue_commit(&w->log, WRITER_ERROR_LOG, (uint32_t)line.len);
    writer_wake(w->writer);
}

/* -- the traceback of a thread that does not answer -- */

static char trace[TRACE_BYTES];
static _Atomic bool traced;

static void on_trace(int signal_number)
{
    (void)signal_number;
    if (vm_here())
        report_where(vm_here(), trace, sizeof trace);
    traced = true;
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);                /* shorter when interrupted: only less patient */
}

static void take_trace(const struct loop_thread *t)
{
    struct sigaction a = { .sa_handler = on_trace };
    if (sigaction(SIGURG, &a, NULL) < 0 || pthread_kill(t->thread, SIGURG) != 0)
        return;
    for (int waited = 0; !traced && waited < TRACE_MS; waited++)
        sleep_ms(1);
}

/* -- looking -- */

static void tell_supervisor(const struct watchdog *w, const char *plugin)
{
    static struct message m;
    char entry[256];
    if (!quarantine_entry(plugin, entry, sizeof entry))
        return;
    m.kind = MESSAGE_QUARANTINE;
    message_set_text(&m, entry, strlen(entry));
    if (!channel_send(w->supervisor, &m))
        log_error("watchdog", "cannot tell the supervisor");
}

static void end_worker(struct watchdog *w, uint32_t index, const struct label *l, uint64_t ms)
{
    const char *route = l->words[HOOK_ROUTE].len ? l->words[HOOK_ROUTE].at : NULL;
    if (l->words[HOOK_PLUGIN].len)
        tell_supervisor(w, l->words[HOOK_PLUGIN].at);
    take_trace(&w->loops[index]);
    log_error("watchdog", "a plugin has blocked a loop for too long: the worker is replaced, the plugin quarantined",
              "plugin", l->words[HOOK_INSTANCE].at, "hook", l->words[HOOK_NAME].at, "route", route, "for_ms",
              log_number(ms), "at", trace[0] ? trace : NULL);
    w->save();
    writer_finish(w->writer, FLUSH_MS);
    _exit(EXIT_STUCK);
}

static uint64_t cpu_us_of(const struct loop_thread *t)
{
    clockid_t clock;
    struct timespec ts = { 0 };
    if (pthread_getcpuclockid(t->thread, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return 0;
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* It has a core, or would like to have one (proc_pid_stat(5)). */
static bool is_runnable(const struct loop_thread *t)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)t->tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *behind_name = strrchr(text, ')');
    return behind_name && strncmp(behind_name, ") R", 3) == 0;
}

/* How long the call of Lua that is under way has kept its loop, in ms; 0: there is none. On a machine with too much to
 * do a thread waits for its core, which is not the plugin's fault: then its CPU time counts. What sleeps in a call of C
 * blocks all the time that it sleeps. */
static uint64_t busy_ms(struct seen *s, const struct loop_thread *t, struct vm *vm)
{
    uint64_t entries = vm ? atomic_load_explicit(&vm->entries, memory_order_relaxed) : 0, now_us = clock_us();
    if (entries % 2 == 0) {
        *s = (struct seen){ 0 };
        return 0;
    }
    uint64_t cpu_us = cpu_us_of(t), wall = now_us - s->looked_us, cpu = cpu_us - s->cpu_us;
    if (entries != s->entries) {
        *s = (struct seen){ .entries = entries };
    } else {
        if (wall > LATE_MS * 1000)
            wall = LATE_MS * 1000;      /* the watchdog itself had to wait, or the process stood still */
        s->busy_us += is_runnable(t) && cpu < wall ? cpu : wall;
    }
    s->looked_us = now_us;
    s->cpu_us = cpu_us;
    return s->busy_us / 1000;
}

static void look(struct watchdog *w, uint32_t i, uint32_t hard_ms)
{
    struct vm *vm = w->loops[i].plane.vm;
    struct seen *seen = &w->seen[i];
    uint64_t ms = busy_ms(seen, &w->loops[i], vm);
    struct label l = { 0 };
    if (ms < hard_ms / 2)
        return;
    uint32_t slot = atomic_load_explicit(&vm->busy_slot, memory_order_relaxed);
    const char *route = labels_get(&hook_labels, slot, &l) && l.words[HOOK_ROUTE].len ? l.words[HOOK_ROUTE].at : NULL;
    if (ms >= hard_ms)
        end_worker(w, i, &l, ms);
    if (!seen->warned)
        log_warn("watchdog", "a plugin blocks a loop", "plugin", l.words[HOOK_INSTANCE].at, "hook",
                 l.words[HOOK_NAME].at, "route", route, "for_ms", log_number(ms));
    seen->warned = true;
}

static void *run(void *who)
{
    struct watchdog *w = who;
    pthread_setname_np(pthread_self(), "watchdog");
    log_set_sink(log_line, w);
    pthread_mutex_lock(&w->lock);
    while (!w->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&w->stop_now, &w->lock, &until);   /* early or late: it looks again */
        uint32_t hard_ms = atomic_load_explicit(&w->hard_ms, memory_order_relaxed);
        for (uint32_t i = 0; hard_ms && i < w->count; i++)
            look(w, i, hard_ms);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct watchdog *watchdog_start(struct loop_thread *loops, uint32_t count, struct writer *writer, int supervisor,
                                void (*save)(void))
{
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->loops = loops;
    w->count = count;
    w->writer = writer;
    w->supervisor = supervisor;
    w->save = save;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stop_now, NULL);
    queue_init(&w->log, LOG_RING);
    writer_add_queue(writer, &w->log);
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        abort();
    return w;
}

void watchdog_set_limit(struct watchdog *w, uint32_t hard_ms)
{
    atomic_store_explicit(&w->hard_ms, hard_ms, memory_order_relaxed);
}

void watchdog_stop(struct watchdog *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->stop_now);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}

void watchdog_free(struct watchdog *w)
{
    queue_free(&w->log);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->stop_now);
    free(w);
}
