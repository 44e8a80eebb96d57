#include "run/control.h"

#include <errno.h>
#include <grp.h>
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
#include "lua/vm.h"
#include "net/tls_context.h"
#include "proxy/traffic.h"
#include "run/control_state.h"
#include "run/control_socket.h"
#include "run/quarantine.h"
#include "run/watchdog.h"

enum { TICKET_MS = 8 * 3600 * 1000, SAVE_MS = 10 * 1000, DRAIN_LOOK_MS = 20 };
enum { LOG_RING = 1 << 18, EARLY_BYTES = 1 << 15 };     /* the latter is one record of the former */

struct control *the_control;

/* -- log -- */

void control_log(struct control *c, struct slice line)
{
    char *at = queue_reserve(&c->log, (uint32_t)line.len);
    if (!at)
        return;                         /* a quarter of a megabyte of errors waits already */
    memcpy(at, line.at, line.len);
    queue_commit(&c->log, WRITER_ERROR_LOG, (uint32_t)line.len);
    writer_wake(c->writer);
}

static void on_log_line(void *who, struct slice line) { control_log(who, line); }

static void on_early_line(void *who, struct slice line)
{
    struct control *c = who;
    if (buf_append(&c->early, line) != RC_OK && write(STDERR_FILENO, line.at, line.len) < 0)
        return;                         /* nobody left to tell */
}

static void keep_early_lines(struct control *c)
{
    buf_init(&c->early, EARLY_BYTES);
    log_set_sink(on_early_line, c);
}

static void open_log(struct control *c)
{
    log_set_sink(on_log_line, c);
    if (buf_len(&c->early))
        control_log(c, buf_slice(&c->early));
    buf_reset(&c->early);
}

/* The start has failed: who looks on sees what was told until then. */
static void drop_early_lines(struct control *c)
{
    log_set_sink(NULL, NULL);
    if (write(STDERR_FILENO, buf_slice(&c->early).at, buf_len(&c->early)) < 0)
        log_error("control", "cannot write to standard error");
    buf_reset(&c->early);
}

/* -- the supervisor -- */

bool control_ask(struct control *c, int kind, int count, const char *text)
{
    c->message.kind = kind;
    c->message.count = count;
    message_set_text(&c->message, text, strlen(text));
    return channel_send(c->options->channel, &c->message) && channel_receive(c->options->channel, &c->message) &&
           c->message.kind == MESSAGE_BOUND;
}

void control_tell(struct control *c, int kind, const char *text)
{
    c->message.kind = kind;
    c->message.count = 0;
    message_set_text(&c->message, text, strlen(text));
    (void)channel_send(c->options->channel, &c->message);  /* a supervisor that is gone ends us anyway */
}

void control_report(struct control *c, const char *text)
{
    free(c->last_report);
    c->last_report = strdup(text);
}

static void on_files_changed(void *who)
{
    struct control *c = who;
    if (!c->cut_ms)
        (void)reload(c, "file save", NULL);
}

/* -- the control socket -- */

/* The first line is the verdict: ok, partly (something is in quarantine) or error. */
static char *reload_answer(struct control *c, const char *cause, const char *from)
{
    char *answer, head[64] = "";
    bool good = reload(c, cause, from);
    if (good)
        snprintf(head, sizeof head, "generation %llu is in force\n", (unsigned long long)c->generation_number);
    const char *verdict = !good ? "error" : c->quarantined ? "partly" : "ok";
    return asprintf(&answer, "%s\n%s%s", verdict, head, c->last_report) < 0 ? NULL : answer;
}

static char *rollback(struct control *c, const char *line, unsigned number)
{
    char cause[32], digits[12];
    const char *arg = digits;
    struct lua_result refusal;
    snprintf(cause, sizeof cause, "rollback to %u", number);
    snprintf(digits, sizeof digits, "%u", number);
    if (lua_ask(c->L, "refuse_rollback", &arg, 1, &refusal, 1) && refusal.text)
        return refusal.text;
    return reload_answer(c, cause, line);
}

static char *on_command(void *who, const char *line)
{
    struct control *c = who;
    const char *args[] = { line, c->last_report, c->options->config, c->options->overrides };
    unsigned number;
    char end;
    struct lua_result got;
    if (strcmp(line, "reload") == 0)
        return reload_answer(c, "reload", NULL);
    if (sscanf(line, "rollback %9u%c", &number, &end) == 1)
        return rollback(c, line, number);
    if (!lua_ask(c->L, "command", args, 4, &got, 1) || !got.text)
        return strdup("error\nsee the log\n");
    return got.text;
}

const struct generation *control_generation(void) { return the_control ? the_control->generation : NULL; }

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
        case SIGHUP: (void)reload(c, "SIGHUP", NULL); break;
        case SIGUSR1: writer_reopen(c->writer); break;
        case SIGTERM:
        case SIGINT: begin_stop(c); break;
        default: break;
        }
    }
}

/* The supervisor says nothing unasked: a readable channel is its end, or one more upgrade: then this worker drains
 * already, and still has its grace. */
static void on_supervisor_gone(struct watch *w)
{
    struct control *c = LINK_OWNER(w, struct control, supervisor);
    loop_unwatch(c->loop, w);
    if (!c->cut_ms)
        begin_stop(c);
}

static void on_tickets(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, tickets);
    tls_rotate_tickets();
    loop_deadline(c->loop, d, c->loop->clock.now_ms + TICKET_MS);
}

static void on_saving(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, saving);
    saving_run(c);
    loop_deadline(c->loop, d, c->loop->clock.now_ms + SAVE_MS);
}

/* Words that the user must see, whatever the log does: the supervisor prints them. */
static int doom(struct control *c, const char *why, int code)
{
    control_tell(c, MESSAGE_DOOMED, why);
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
        c->loops[i].plane.ask = answers_ask;
}

static void ready_line(struct control *c, char *out, size_t size)
{
    int n = snprintf(out, size, "tidegate is ready:");
    for (uint32_t i = 0; i < c->generation->listener_count; i++) {
        const struct listener_use *l = c->generation->listeners[i];
        const struct bound *b = bound_find(c, l->settings.address);
        if (b->is_absent)
            continue;
        bool is_unix = strncmp(b->real, "unix:", 5) == 0;
        if (n > 0 && (size_t)n < size)
            n += snprintf(out + n, size - (size_t)n, " %s%s", is_unix ? "" : l->tls ? "https://" : "http://", b->real);
    }
}

/* What an earlier worker had in force when it died counts where the files are broken now, and where they did not count
 * for it either, after a rollback. */
static struct generation *first_generation(struct control *c)
{
    char from[PATH_MAX + 16];
    const char *good = getenv("TIDEGATE_GOOD");
    struct lua_result rolled_back;
    struct generation *g = NULL;
    snprintf(from, sizeof from, "kept %s", good ? good : "");
    if (good && lua_ask(c->L, "inherit", &good, 1, &rolled_back, 1) && rolled_back.number > 0)
        g = reload_load(c, from);
    if (!g)
        g = reload_load(c, NULL);
    if (g || !good)
        return g;
    char *report = c->last_report;
    c->last_report = NULL;
    g = reload_load(c, from);
    log_error("control", "the files are broken: the last good configuration is in force");
    on_early_line(c, slice_text(report));
    free(c->last_report);
    c->last_report = report;
    return g;
}

static int start(struct control *c)
{
    char text[4096], why[512];
    struct generation *g = first_generation(c);
    if (!g)
        return doom(c, c->last_report, 2);
    const struct gateway_settings *s = &g->gateway;
    if (!control_ask(c, MESSAGE_HELLO, (int)s->grace_ms, s->pid_file.at)) {
        generation_free(g);
        return doom(c, c->message.text, 1);
    }
    start_loops(c, s->threads);
    registry_on_orphan(publish_orphan);
    writer_add_queue(c->writer, &c->log);
    c->watchdog = watchdog_start(c->loops, c->loop_count, c->writer, c->options->channel, saving_from_afar);
    writer_start(c->writer);
    if (!reload_open(c, s->pid_file) || !publish(c, g))
        return doom(c, c->last_report, 1);
    char socket[PATH_MAX];
    snprintf(socket, sizeof socket, "%.*s", (int)g->gateway.pid_file.len, g->gateway.pid_file.at);
    c->socket = control_socket_new(c->loop, socket, on_command, c, why, sizeof why);
    if (!c->socket)
        return doom(c, why, 1);
    if (!drop_privileges(c, &g->gateway, why, sizeof why))
        return doom(c, why, 1);
    open_log(c);
    if (c->last_report[0])
        control_log(c, slice_text(c->last_report));
    reload_done(c, getenv("TIDEGATE_GOOD") ? "worker restart" : "start");
    ready_line(c, text, sizeof text);
    control_tell(c, MESSAGE_READY, text);
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
    renew_close(c);
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_join(&c->loops[i]);
    checker_stop(c->checker);
    generation_drop(c->generation);
    names_close();
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
    checker_free(c->checker);
    free(c->last_report);
    vm_free(c->L);
}

int control_run(const struct control_options *options)
{
    static struct control c;
    the_control = &c;
    c.options = options;
    c.loop = loop_new(&c);
    c.L = vm_new_counted(&c.memory);
    c.writer = writer_new();
    c.started_ms = c.loop->clock.wall_ms;
    queue_init(&c.log, LOG_RING);
    keep_early_lines(&c);
    c.checker = checker_new(c.loop);
    renew_open(&c);
    c.files = file_watch_new(c.loop, on_files_changed, &c);
    c.tickets.fire = on_tickets;
    c.drained.fire = on_drained;
    c.supervisor.fd = options->channel;
    c.supervisor.on_readable = on_supervisor_gone;
    watch_signals(&c);
    on_tickets(&c.tickets);
    int code = start(&c);
    if (code) {
        drop_early_lines(&c);
        vm_free(c.L);                   /* libraries under Lua have memory of their own */
        return code;                    /* threads and all end with the process */
    }
    loop_watch(c.loop, &c.supervisor);
    c.saving.fire = on_saving;
    loop_deadline(c.loop, &c.saving, c.loop->clock.now_ms + SAVE_MS);
    loop_run(c.loop);
    saving_run(&c);
    log_info("control", "worker ends");
    log_set_sink(NULL, NULL);
    the_control = NULL;
    shut_down(&c);
    return 0;
}
