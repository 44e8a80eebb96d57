#include "run/control.h"

#include <errno.h>
#include <grp.h>
#include <lauxlib.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/regex.h"
#include "lua/api.h"
#include "lua/coroutine.h"
#include "lua/vm.h"
#include "net/tls_context.h"
#include "proxy/ask.h"
#include "proxy/traffic.h"
#include "run/channel.h"
#include "run/control_socket.h"
#include "run/loop_thread.h"
#include "run/quarantine.h"
#include "run/watch.h"
#include "run/watchdog.h"
#include "run/writer.h"

enum { TICKET_MS = 8 * 3600 * 1000, SAVE_MS = 10 * 1000, DRAIN_LOOK_MS = 20, LOG_RING = 1 << 18 };

struct bound { char address[ADDR_TEXT]; char real[ADDR_TEXT]; uint16_t port; uint32_t id; struct bound *next; };

struct control {
    const struct control_options *options;
    struct loop *loop;
    lua_State *L;
    struct writer *writer;
    struct watchdog *watchdog;
    struct queue log;
    struct loop_thread *loops;
    uint32_t loop_count;
    struct generation *generation;      /* the published one */
    uint64_t generation_number;
    struct bound *bound;
    struct file_watch *files;
    struct control_socket *socket;
    struct watch signals, supervisor;
    struct deadline tickets, saving, drained;
    uint64_t cut_ms;                    /* when the grace of a stop is over; 0: not stopping */
    uint64_t reloads_good, reloads_bad, started_ms;
    char *last_report;                  /* of the last load, for status */
    int exit_code;
};

static struct control *the_control;     /* one per process; for tide_status_read and callbacks without an owner */

/* -- log -- */

static void log_line(void *who, struct slice line)
{
    struct control *c = who;
    char *at = queue_reserve(&c->log, (uint32_t)line.len);
    if (!at)
        return;                         /* a quarter of a megabyte of errors waits already */
    memcpy(at, line.at, line.len);
    queue_commit(&c->log, WRITER_ERROR_LOG, (uint32_t)line.len);
    writer_wake(c->writer);
}

/* -- the supervisor -- */

static struct message message;          /* large, and used by this thread only */

static bool ask_supervisor(struct control *c, int kind, int count, const char *text)
{
    message.kind = kind;
    message.count = count;
    message_set_text(&message, text, strlen(text));
    return channel_send(c->options->channel, &message) && channel_receive(c->options->channel, &message) &&
           message.kind == MESSAGE_BOUND;
}

static void tell_supervisor(struct control *c, int kind, const char *text)
{
    message.kind = kind;
    message.count = 0;
    message_set_text(&message, text, strlen(text));
    (void)channel_send(c->options->channel, &message);  /* a supervisor that is gone ends us anyway */
}

/* -- loading -- */

static void set_report(struct control *c, const char *text)
{
    free(c->last_report);
    c->last_report = strdup(text);
}

/* A finished generation, or NULL with the reason in last_report. good: what keep() wrote, to be taken instead of the
 * files; else NULL. */
static struct generation *load(struct control *c, const char *good)
{
    lua_State *L = c->L;
    file_watch_note(c->files);
    lua_pushstring(L, c->options->config);
    lua_pushstring(L, c->options->overrides);
    lua_pushstring(L, good);
    if (!vm_call(L, "tidegate.control", "load", 3, 3)) {
        set_report(c, "internal error while loading the configuration: see the log\n");
        return NULL;
    }
    struct generation *g = NULL;
    if (lua_isnumber(L, -3))
        g = (struct generation *)(uintptr_t)lua_tonumber(L, -3);
    set_report(c, lua_tostring(L, -2) ? lua_tostring(L, -2) : "");
    if (lua_tostring(L, -1))
        file_watch_set(c->files, lua_tostring(L, -1));
    lua_settop(L, 0);
    lua_gc(L, LUA_GCCOLLECT, 0);
    return g;
}

/* -- answers about the gateway -- */

static void run_answered(struct loop *loop, struct job *job)
{
    (void)loop;
    exchange_answered((struct ask *)(void *)job);
}

static void run_asked(struct loop *loop, struct job *job)
{
    struct ask *a = (struct ask *)(void *)job;
    struct control *c = the_control;
    (void)loop;
    lua_pushstring(c->L, a->question);
    if (vm_call(c->L, "tidegate.control", "answer", 1, 3) && lua_isstring(c->L, -2)) {
        const char *text = lua_tolstring(c->L, -2, &a->len);
        a->status = (int)lua_tointeger(c->L, -3);
        snprintf(a->type, sizeof a->type, "%s", lua_tostring(c->L, -1));
        a->text = malloc(a->len + 1);
        if (!a->text)
            abort();
        memcpy(a->text, text, a->len + 1);
    }
    lua_settop(c->L, 0);
    a->job.run = run_answered;
    loop_post(a->home, &a->job);
}

static void ask_control(struct plane *p, struct ask *a)
{
    (void)p;
    a->job.run = run_asked;
    loop_post(the_control->loop, &a->job);
}

/* -- publishing -- */

struct unused { struct job job; struct generation *g; };

static void run_unused(struct loop *loop, struct job *job)
{
    (void)loop;
    generation_free(((struct unused *)(void *)job)->g);
    free(job);
}

/* The last user of a generation may be any loop, but nodes and names belong to the control thread. */
static void on_unused(struct generation *g)
{
    struct unused *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    u->job.run = run_unused;
    u->g = g;
    loop_post(the_control->loop, &u->job);
}

static void on_orphan(struct node *n)
{
    struct control *c = the_control;
    if (!n->pools) {                    /* never published */
        node_free(n);
        return;
    }
    n->closing = c->loop_count;
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_close_pool(&c->loops[i], n);
}

static struct bound *find_bound(struct control *c, struct slice address)
{
    for (struct bound *b = c->bound; b; b = b->next)
        if (slice_equal(slice_text(b->address), address))
            return b;
    return NULL;
}

/* A number that no bound listener has. They go round: connections of a listener that is gone keep theirs a while. */
static uint32_t free_id(struct control *c)
{
    static uint32_t turn;
    for (;;) {
        uint32_t id = turn++ % LISTENERS_MAX;
        bool used = false;
        for (struct bound *b = c->bound; b; b = b->next)
            used |= b->id == id;
        if (!used)
            return id;
    }
}

/* Routes name listeners by their place in the file; connections know the number of theirs, which stays when the file
 * is put in another order. */
static void number_listeners(struct control *c, struct generation *g)
{
    for (uint32_t k = 0; k < g->listener_count; k++)
        if (g->listeners[k]->settings.is_internal)
            g->internal_listeners |= 1ull << find_bound(c, g->listeners[k]->settings.address)->id;
    for (uint32_t i = 0; i < g->route_count; i++) {
        uint64_t places = g->routes[i]->settings.listeners, ids = 0;
        for (uint32_t k = 0; k < g->listener_count; k++)
            if (places >> k & 1)
                ids |= 1ull << find_bound(c, g->listeners[k]->settings.address)->id;
        g->routes[i]->match.listeners = ids;
    }
}

/* A set of sockets for each listener of g that is not bound yet; fds[i] has one per loop. False with the reason. */
static bool bind_new(struct control *c, const struct generation *g, struct new_listener *added, int (*fds)[LOOPS_MAX],
                     uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < g->listener_count; i++) {
        struct slice address = g->listeners[i]->settings.address;
        if (find_bound(c, address))
            continue;
        if (!ask_supervisor(c, MESSAGE_BIND, (int)c->loop_count, address.at)) {
            set_report(c, message.text);
            return false;
        }
        struct bound *b = calloc(1, sizeof *b);
        if (!b)
            abort();
        snprintf(b->address, sizeof b->address, "%s", address.at);
        snprintf(b->real, sizeof b->real, "%.*s", (int)sizeof b->real - 1, message.text);
        struct addr real;
        if (addr_parse(slice_text(b->real), &real))
            b->port = peer_of(&real.u.any).port;
        b->id = free_id(c);
        b->next = c->bound;
        c->bound = b;
        struct new_listener *n = &added[*count];
        snprintf(n->address, sizeof n->address, "%s", b->address);
        n->port = b->port;
        n->id = b->id;
        for (uint32_t k = 0; k < c->loop_count; k++)
            fds[*count][k] = (int)k < message.count ? message.fds[k] : dup(message.fds[0]);
        ++*count;
    }
    return true;
}

static void unbind_old(struct control *c, const struct generation *g)
{
    for (struct bound **b = &c->bound; *b;) {
        bool used = false;
        for (uint32_t i = 0; i < g->listener_count; i++)
            used |= slice_equal(slice_text((*b)->address), g->listeners[i]->settings.address);
        if (used) {
            b = &(*b)->next;
            continue;
        }
        struct bound *old = *b;
        *b = old->next;
        tell_supervisor(c, MESSAGE_UNBIND, old->address);
        free(old);
    }
}

static void apply_logs(struct control *c, struct generation *g)
{
    log_set_level((enum log_level)g->gateway.log_level);
    char name[PATH_MAX + 8];
    struct slice error_log = g->gateway.error_log;
    if (getenv("TIDEGATE_DETACHED") && slice_equal(error_log, SLICE_OF("stderr"))) {
        int n = snprintf(name, sizeof name, "%.*s.log", (int)g->gateway.pid_file.len, g->gateway.pid_file.at);
        error_log = slice_make(name, (size_t)n);        /* in the background nobody reads standard error */
    }
    writer_set_error_log(c->writer, error_log);
    for (uint32_t i = 0; i < g->log_count; i++)
        if ((g->logs[i]->sink = writer_sink(c->writer, g->logs[i]->settings.file)) == WRITER_NO_SINK)
            log_error("control", "too many different log files since the start; restart to free them", "file",
                      log_slice(g->logs[i]->settings.file));
}

static void retire_plugins(struct control *c, struct generation *g)
{
    struct acks acks;
    if (!g->plugins.len)
        return;
    acks_init(&acks, c->loop_count);
    for (uint32_t k = 0; k < c->loop_count; k++)
        loop_thread_retire(&c->loops[k], g, &acks);
    acks_wait(&acks);
}

/* The plugins in every loop. False, with the reason in last_report, when a loop cannot load them. */
static bool prepare_plugins(struct control *c, struct generation *g)
{
    static struct prepared result;
    struct acks acks;
    if (!g->plugins.len)
        return true;
    result.failed = false;
    acks_init(&acks, c->loop_count);
    for (uint32_t k = 0; k < c->loop_count; k++)
        loop_thread_prepare(&c->loops[k], g, &result, &acks);
    acks_wait(&acks);
    if (!result.failed)
        return true;
    retire_plugins(c, g);
    set_report(c, result.why);
    return false;
}

/* Takes the caller's reference. False, with the reason in last_report: nothing has changed. */
static bool publish(struct control *c, struct generation *g)
{
    static struct new_listener added[LISTENERS_MAX];
    static int fds[LISTENERS_MAX][LOOPS_MAX];
    uint32_t count;
    struct acks acks;
    if (!prepare_plugins(c, g)) {
        generation_free(g);
        return false;
    }
    if (!bind_new(c, g, added, fds, &count)) {
        if (c->generation)
            unbind_old(c, c->generation);
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t k = 0; k < c->loop_count; k++)
                close(fds[i][k]);
        retire_plugins(c, g);
        generation_free(g);
        return false;
    }
    struct generation *old = c->generation;
    generation_open(g, c->loop_count);
    number_listeners(c, g);
    g->number = ++c->generation_number;
    g->unused = on_unused;
    apply_logs(c, g);
    watchdog_set_limit(c->watchdog, g->plugins.len ? g->gateway.lua_hard_ms : 0);
    atomic_fetch_add(&g->refs, c->loop_count);
    acks_init(&acks, c->loop_count);
    for (uint32_t k = 0; k < c->loop_count; k++) {
        for (uint32_t i = 0; i < count; i++)
            added[i].fd = fds[i][k];
        loop_thread_install(&c->loops[k], g, added, count, &acks);
    }
    acks_wait(&acks);
    c->generation = g;
    if (old) {
        unbind_old(c, g);
        generation_drop(old);
    }
    return true;
}

/* The configuration in force, for a worker that starts when the files are broken. */
static void keep(struct control *c)
{
    char name[PATH_MAX + 8];
    struct slice pid_file = c->generation->gateway.pid_file;
    snprintf(name, sizeof name, "%.*s.good", (int)pid_file.len, pid_file.at);
    lua_pushstring(c->L, name);
    (void)vm_call(c->L, "tidegate.control", "keep", 1, 0);      /* has logged why not; nothing depends on it now */
}

static bool reload(struct control *c)
{
    struct generation *g = load(c, NULL);
    bool good = g && publish(c, g);
    if (good) {
        c->reloads_good++;
        keep(c);
        log_info("control", "configuration in force", "generation", log_number(c->generation_number));
    } else {
        c->reloads_bad++;
        log_error("control", "configuration refused, the running one stays");
        /* The report has lines of its own, with carets: to the log as it is. */
        log_line(c, slice_make(c->last_report, strlen(c->last_report) < 32768 ? strlen(c->last_report) : 32768));
    }
    return good;
}

static void on_files_changed(void *who)
{
    struct control *c = who;
    if (!c->cut_ms)
        (void)reload(c);
}

/* -- the control socket -- */

static char *on_command(void *who, const char *line)
{
    struct control *c = who;
    char *answer = NULL;
    if (strcmp(line, "reload") == 0) {
        bool good = reload(c);
        char head[64];
        snprintf(head, sizeof head, "generation %llu is in force\n", (unsigned long long)c->generation_number);
        if (asprintf(&answer, "%s\n%s%s", good ? "ok" : "error", good ? head : "", c->last_report) < 0)
            return NULL;
        return answer;
    }
    lua_pushstring(c->L, line);
    lua_pushstring(c->L, c->last_report);
    if (!vm_call(c->L, "tidegate.control", "command", 2, 1))
        return strdup("error\nsee the log\n");
    answer = strdup(lua_tostring(c->L, -1) ? lua_tostring(c->L, -1) : "error\nunknown command\n");
    lua_settop(c->L, 0);
    return answer;
}

/* Loops that are told to end give their Lua back: while the gateway stops nobody looks. */
static void add_lua_memory(const struct control *c, struct tide_status *out)
{
    for (uint32_t i = 0; !c->cut_ms && i < c->loop_count; i++) {
        const struct vm *vm = c->loops[i].plane.vm;
        uint64_t bytes = vm ? atomic_load_explicit(&vm->memory.used, memory_order_relaxed) : 0;
        out->lua_bytes += bytes;
        if (bytes > out->lua_bytes_most)
            out->lua_bytes_most = bytes;
    }
    out->lua_bytes_max = c->generation ? c->generation->gateway.lua_memory : 0;
}

void tide_status_read(struct tide_status *out)
{
    struct control *c = the_control;
    *out = (struct tide_status){ 0 };
    if (!c)
        return;
    add_lua_memory(c, out);
    out->generation = c->generation_number;
    out->started_ms = c->started_ms;
    out->connections_open = fronts_open();
    out->reloads_good = c->reloads_good;
    out->reloads_bad = c->reloads_bad;
    out->threads = c->loop_count;
    out->worker_pid = getpid();
    out->supervisor_pid = getppid();
    out->log_lost = writer_lost(c->writer);
    out->regex_limit_hits = regex_limit_hits();
    const char *restarts = getenv("TIDEGATE_RESTARTS");
    out->worker_restarts = restarts ? strtoull(restarts, NULL, 10) : 0;
    for (uint32_t i = 0; i < c->loop_count; i++) {
        const struct counters *n = &c->loops[i].plane.counters;
        out->requests += counted(&n->requests);
        out->connections_total += counted(&n->connections_total);
        out->bytes_in += counted(&n->bytes_in);
        out->bytes_out += counted(&n->bytes_out);
        for (int k = 0; k < 6; k++)
            out->responses[k] += counted(&n->responses[k]);
        out->upstream_tries += counted(&n->upstream_tries);
        out->upstream_reused += counted(&n->upstream_reused);
        out->upstream_retries += counted(&n->upstream_retries);
        out->upstream_failures += counted(&n->upstream_failures);
        out->upstream_open += (uint32_t)counted(&n->upstream_open);
        out->log_lines += counted(&n->log_lines);
        out->log_lost += counted(&n->log_lost);
        out->accept_errors += counted(&n->accept_errors);
        out->refused += counted(&n->refused);
    }
}

struct loop_thread *control_loops(uint32_t *count)
{
    *count = the_control ? the_control->loop_count : 0;
    return the_control ? the_control->loops : NULL;
}

/* -- going up and down -- */

static void stop_now(struct control *c)
{
    watchdog_stop(c->watchdog);         /* before the loops, whose Lua it looks at, are gone */
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_stop(&c->loops[i]);
    loop_stop(c->loop);
}

static void on_drained(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, drained);
    uint64_t now = c->loop->clock.now_ms;
    if (fronts_open() == 0 || now >= c->cut_ms)
        stop_now(c);
    else
        loop_deadline(c->loop, d, now + DRAIN_LOOK_MS);
}

/* A second request to stop ends the grace. */
static void begin_stop(struct control *c)
{
    uint64_t now = c->loop->clock.now_ms;
    if (c->cut_ms) {
        c->cut_ms = now;
        return;
    }
    c->cut_ms = now + (c->generation ? c->generation->gateway.grace_ms : 0) + 1;
    log_info("control", "draining", "connections", log_number(fronts_open()));
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_drain(&c->loops[i]);
    loop_deadline(c->loop, &c->drained, now + 1);
}

static void on_signal(struct watch *w)
{
    struct control *c = LINK_OWNER(w, struct control, signals);
    struct signalfd_siginfo s;
    while (read(w->fd, &s, sizeof s) == sizeof s) {
        switch (s.ssi_signo) {
        case SIGHUP: (void)reload(c); break;
        case SIGUSR1: writer_reopen(c->writer); break;
        case SIGTERM:
        case SIGINT: begin_stop(c); break;
        default: break;
        }
    }
}

/* The supervisor says nothing unasked: a readable channel is its end. */
static void on_supervisor_gone(struct watch *w)
{
    struct control *c = LINK_OWNER(w, struct control, supervisor);
    loop_unwatch(c->loop, w);
    begin_stop(c);
}

static void on_tickets(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, tickets);
    tls_rotate_tickets();
    loop_deadline(c->loop, d, c->loop->clock.now_ms + TICKET_MS);
}

/* What is to survive the process: dictionaries with a file. */
static void save(struct control *c)
{
    (void)vm_call(c->L, "tidegate.control", "save", 0, 0);      /* has logged why not */
}

static _Atomic bool is_saved;

static void run_save(struct loop *loop, struct job *job)
{
    (void)loop;
    free(job);
    save(the_control);
    is_saved = true;
}

/* The process is about to end, and another thread says so. The control thread may be stuck, too: it is not waited for
 * for ever. */
static void save_from_afar(void)
{
    enum { PATIENCE_MS = 1000 };
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return;
    is_saved = false;
    j->run = run_save;
    loop_post(the_control->loop, j);
    for (int waited = 0; !is_saved && waited < PATIENCE_MS; waited++)
        usleep(1000);
}

static void on_saving(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, saving);
    save(c);
    loop_deadline(c->loop, d, c->loop->clock.now_ms + SAVE_MS);
}

/* Words that the user must see, whatever the log does: the supervisor prints them. */
static int doom(struct control *c, const char *why, int code)
{
    tell_supervisor(c, MESSAGE_DOOMED, why);
    return code;
}

static bool drop_privileges(struct control *c, const struct gateway_settings *s, char *why, size_t size)
{
    if (s->user.len == 0)
        return true;
    if (geteuid() != 0)
        return true;
    const struct passwd *pw = getpwnam(s->user.at);
    if (!pw)
        snprintf(why, size, "gateway.user: there is no user \"%s\" on this machine\n", s->user.at);
    else if (initgroups(s->user.at, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        snprintf(why, size, "gateway.user: cannot become \"%s\": %s\n", s->user.at, strerror(errno));
    else
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    (void)c;
    return false;
}

static void start_loops(struct control *c, uint32_t threads)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    c->loop_count = threads ? threads : cores > 0 ? (uint32_t)cores : 1;
    if (c->loop_count > LOOPS_MAX)
        c->loop_count = LOOPS_MAX;
    c->loops = calloc(c->loop_count, sizeof *c->loops);
    if (!c->loops)
        abort();
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_start(&c->loops[i], i, c->writer);
    for (uint32_t i = 0; i < c->loop_count; i++)
        c->loops[i].plane.ask = ask_control;
}

static void ready_line(struct control *c, char *out, size_t size)
{
    int n = snprintf(out, size, "tidegate is ready:");
    for (uint32_t i = 0; i < c->generation->listener_count; i++) {
        const struct listener_use *l = c->generation->listeners[i];
        const struct bound *b = find_bound(c, l->settings.address);
        bool is_unix = strncmp(b->real, "unix:", 5) == 0;
        if (n > 0 && (size_t)n < size)
            n += snprintf(out + n, size - (size_t)n, " %s%s", is_unix ? "" : l->tls ? "https://" : "http://", b->real);
    }
}

static int start(struct control *c)
{
    char text[4096], why[512];
    struct generation *g = load(c, NULL);
    const char *good = getenv("TIDEGATE_GOOD");
    if (!g && good) {
        /* A worker before us was fine: what is on disk now must not keep the gateway down. */
        char *report = c->last_report;
        c->last_report = NULL;
        g = load(c, good);
        log_error("control", "the files are broken: the last good configuration is in force");
        if (write(STDERR_FILENO, report, strlen(report)) < 0)
            log_error("control", "cannot write to standard error");
        free(c->last_report);
        c->last_report = report;
    }
    if (!g)
        return doom(c, c->last_report, 2);
    const struct gateway_settings *s = &g->gateway;
    if (!ask_supervisor(c, MESSAGE_HELLO, (int)s->grace_ms, s->pid_file.at)) {
        generation_free(g);
        return doom(c, message.text, 1);
    }
    start_loops(c, s->threads);
    registry_on_orphan(on_orphan);
    writer_add_queue(c->writer, &c->log);
    c->watchdog = watchdog_start(c->loops, c->loop_count, c->writer, c->options->channel, save_from_afar);
    writer_start(c->writer);
    if (!publish(c, g))
        return doom(c, c->last_report, 1);
    char socket[PATH_MAX];
    snprintf(socket, sizeof socket, "%.*s", (int)g->gateway.pid_file.len, g->gateway.pid_file.at);
    c->socket = control_socket_new(c->loop, socket, on_command, c, why, sizeof why);
    if (!c->socket)
        return doom(c, why, 1);
    if (!drop_privileges(c, &g->gateway, why, sizeof why))
        return doom(c, why, 1);
    log_set_sink(log_line, c);
    if (c->last_report[0])
        log_line(c, slice_text(c->last_report));
    if (!good || !c->last_report[0])
        keep(c);
    ready_line(c, text, sizeof text);
    tell_supervisor(c, MESSAGE_READY, text);
    return 0;
}

static void watch_signals(struct control *c)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    c->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    c->signals.on_readable = on_signal;
    loop_watch(c->loop, &c->signals);
}

/* Everything is given back, although the process ends: what is left then is a leak that the sanitizer shows. */
static void shut_down(struct control *c)
{
    control_socket_free(c->socket);
    c->generation->unused = NULL;
    registry_on_orphan(NULL);
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_join(&c->loops[i]);
    generation_drop(c->generation);
    writer_stop(c->writer);
    for (uint32_t i = 0; i < c->loop_count; i++)
        queue_free(&c->loops[i].plane.log);
    queue_free(&c->log);
    watchdog_free(c->watchdog);
    quarantine_forget();
    free(c->loops);
    labels_forget(&hook_labels);
    labels_forget(&traffic_labels);
    labels_forget(&metric_labels);
    while (c->bound) {
        struct bound *b = c->bound;
        c->bound = b->next;
        free(b);
    }
    file_watch_free(c->files);
    loop_unwatch(c->loop, &c->signals);
    loop_unwatch(c->loop, &c->supervisor);
    loop_free(c->loop);
    free(c->last_report);
    vm_free(c->L);
}

int control_run(const struct control_options *options)
{
    static struct control c;
    the_control = &c;
    c.options = options;
    c.loop = loop_new(&c);
    c.L = vm_new();
    c.writer = writer_new();
    c.started_ms = c.loop->clock.wall_ms;
    queue_init(&c.log, LOG_RING);
    c.files = file_watch_new(c.loop, on_files_changed, &c);
    c.tickets.fire = on_tickets;
    c.drained.fire = on_drained;
    c.supervisor.fd = options->channel;
    c.supervisor.on_readable = on_supervisor_gone;
    watch_signals(&c);
    on_tickets(&c.tickets);
    int code = start(&c);
    if (code) {
        vm_free(c.L);                   /* libraries under Lua have memory of their own */
        return code;                    /* threads and all end with the process */
    }
    loop_watch(c.loop, &c.supervisor);
    c.saving.fire = on_saving;
    loop_deadline(c.loop, &c.saving, c.loop->clock.now_ms + SAVE_MS);
    loop_run(c.loop);
    save(&c);
    log_info("control", "worker ends");
    log_set_sink(NULL, NULL);
    the_control = NULL;
    shut_down(&c);
    return 0;
}
