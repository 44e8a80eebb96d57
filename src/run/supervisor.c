#include "run/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/log.h"
#include "lua/api.h"
#include "net/listener.h"
#include "run/channel.h"
#include "run/control.h"
#include "run/handover.h"
#include "run/notify.h"
#include "run/quarantine.h"
#include "run/supervisor_log.h"

enum {
    BACKOFF_FIRST_MS = 10, BACKOFF_MOST_MS = 5000,
    HEALTHY_MS = 10000,             /* a worker that lived this long starts the back-off anew */
    FILES_LEAST = 32,               /* open at a time; with fewer neither we nor a worker get far */
    FDS_LOOKED_AT = 1024,           /* for descriptors that a caller of start left open */
    KILL_AFTER_MS = 3000,           /* beyond the grace, a worker that does not end is killed */
};

struct supervisor {
    const struct supervisor_options *options;
    struct handover state;          /* what a new binary takes over */
    char binary[PATH_MAX];
    int signals;
    bool ready;                     /* the current worker accepts connections */
    bool ever_ready;
    bool stopping;
    bool keep_pid_file;
    int exit_code;
    uint64_t started_ms, backoff_ms, restart_at_ms, kill_at_ms;
    uint32_t grace_ms;
    unsigned restarts;
    char doom[MESSAGE_TEXT];
    char quarantined[4096];         /* entries of run/quarantine, one per line */
    int ready_pipe;                 /* tells a waiting `start`; -1: none */
    int tell_fd;                    /* where the user sees why a start fails */
};

static struct message message;

static uint64_t now_ms(void) { return clock_us() / 1000; }

/* -- pid file -- */

/* In the background our own log goes where the worker's does by default. */
static void log_to_file(const char *pid_file)
{
    char name[PATH_MAX + 8];
    if (!getenv("TIDEGATE_DETACHED"))
        return;
    snprintf(name, sizeof name, "%s.log", pid_file);
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return;
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* The lock, not the file, says that a gateway runs: it ends with the process, however that ends. */
static bool take_pid_file(struct supervisor *s, const char *file, char *why, size_t size)
{
    struct handover *h = &s->state;
    if (h->pid_fd >= 0)
        return true;
    int no_folder = folder_make_above(file);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        snprintf(why, size,
                 "cannot write the pid file \"%s\": %s; set gateway.pid_file to a place that can be written\n", file,
                 strerror(no_folder ? no_folder : errno));
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        char pid[32] = "?";
        ssize_t n = read(fd, pid, sizeof pid - 1);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
        snprintf(why, size, "a gateway with this pid file is running already: \"%s\", process %s\n", file, pid);
        close(fd);
        return false;
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        snprintf(why, size, "cannot write the pid file \"%s\": %s\n", file, strerror(errno));
        close(fd);
        return false;
    }
    h->pid_fd = fd;
    log_to_file(file);
    snprintf(h->pid_file, sizeof h->pid_file, "%s", file);
    return true;
}

static void remove_pid_file(struct supervisor *s)
{
    char socket[PATH_MAX + 8];
    size_t len = strlen(s->state.pid_file);
    if (s->state.pid_fd < 0)
        return;
    (void)unlink(s->state.pid_file);    /* stale files are recognised: nothing is lost if this fails */
    if (len > 4 && strcmp(s->state.pid_file + len - 4, ".pid") == 0)
        len -= 4;
    snprintf(socket, sizeof socket, "%.*s.sock", (int)len, s->state.pid_file);
    (void)unlink(socket);
    snprintf(socket, sizeof socket, "%s.good", s->state.pid_file);
    (void)unlink(socket);
    for (struct held *l = s->state.held; l; l = l->next)
        if (strncmp(l->address, "unix:", 5) == 0)
            (void)unlink(l->address + 5);
}

/* -- what the worker asks for -- */

static void answer(struct supervisor *s, int kind, const char *text)
{
    message.kind = kind;
    message_set_text(&message, text, strlen(text));
    (void)channel_send(s->state.channel, &message);     /* a worker that died is noticed by its signal */
}

static void on_bind(struct supervisor *s)
{
    char why[512], address[ADDR_TEXT];
    snprintf(address, sizeof address, "%.*s", ADDR_TEXT - 1, message.text);
    int count = message.count < 1 ? 1 : message.count > LOOPS_MAX ? LOOPS_MAX : message.count;
    struct held *l = handover_find(&s->state, address);
    if (!l) {
        struct addr a;
        int fds[LOOPS_MAX];
        if (!addr_parse(slice_text(address), &a)) {
            answer(s, MESSAGE_FAILED, "not an address");
            return;
        }
        int n = listener_bind(&a, count, fds, why, sizeof why);
        if (n < 0) {
            strncat(why, "\n", sizeof why - strlen(why) - 1);
            answer(s, MESSAGE_FAILED, why);
            return;
        }
        l = handover_add(&s->state, address, &a, fds, n);
    }
    message.count = l->count;
    memcpy(message.fds, l->fds, sizeof message.fds);
    answer(s, MESSAGE_BOUND, l->real);
}

static void tell_starter(struct supervisor *s, char code, const char *text)
{
    if (s->ready_pipe < 0)
        return;
    if (write(s->ready_pipe, &code, 1) < 0 || write(s->ready_pipe, text, strlen(text)) < 0)
        log_warn("supervisor", "nobody waits for the start any more");
    close(s->ready_pipe);
    s->ready_pipe = -1;
    if (s->tell_fd != STDERR_FILENO)
        close(s->tell_fd);          /* the terminal or pipe that start was called with is not ours to hold */
    s->tell_fd = STDERR_FILENO;
}

static void on_ready(struct supervisor *s)
{
    char line[4096];
    s->ready = true;
    snprintf(line, sizeof line, "%.3900s (pid %d)\n", message.text, (int)getpid());
    if (s->state.old_worker) {
        log_info("supervisor", "new worker is ready, the old one drains", "old",
                 log_number((uint64_t)s->state.old_worker));
        kill(s->state.old_worker, SIGTERM);
        s->state.old_worker = 0;
    }
    if (!s->ever_ready) {
        s->ever_ready = true;
        if (!s->state.inherited && s->ready_pipe < 0 && write(STDOUT_FILENO, line, strlen(line)) < 0)
            log_warn("supervisor", "cannot write to standard output");
        tell_starter(s, 0, line);
        notify_manager("READY=1");
    }
}

/* The oldest go when there are too many: their files were changed long ago. */
static void on_quarantine(struct supervisor *s)
{
    size_t len = strlen(s->quarantined);
    while (len && len + message.text_len + 2 > sizeof s->quarantined) {
        const char *end = strchr(s->quarantined, '\n');
        size_t first = end ? (size_t)(end + 1 - s->quarantined) : len;
        memmove(s->quarantined, s->quarantined + first, len - first + 1);
        len -= first;
    }
    if (message.text_len + 2 <= sizeof s->quarantined)
        snprintf(s->quarantined + len, sizeof s->quarantined - len, "%s\n", message.text);
    setenv(QUARANTINE_VARIABLE, s->quarantined, 1);
}

static void on_message(struct supervisor *s)
{
    char why[PATH_MAX + 256];
    if (!channel_receive(s->state.channel, &message)) {
        close(s->state.channel);
        s->state.channel = -1;          /* the worker ended, or is about to */
        return;
    }
    switch (message.kind) {
    case MESSAGE_HELLO: {
        char file[PATH_MAX];
        snprintf(file, sizeof file, "%.*s", PATH_MAX - 1, message.text);
        s->grace_ms = (uint32_t)message.count;
        message.count = 0;
        if (take_pid_file(s, file, why, sizeof why))
            answer(s, MESSAGE_BOUND, "");
        else
            answer(s, MESSAGE_FAILED, why);
        break;
    }
    case MESSAGE_BIND: on_bind(s); break;
    case MESSAGE_UNBIND: handover_remove(&s->state, message.text); break;
    case MESSAGE_ERROR_LOG: supervisor_log_file(message.text); break;
    case MESSAGE_READY: on_ready(s); break;
    case MESSAGE_QUARANTINE: on_quarantine(s); break;
    case MESSAGE_DOOMED: memcpy(s->doom, message.text, message.text_len + 1); break;
    default: break;
    }
}

/* -- the worker -- */

static void start_worker(struct supervisor *s)
{
    int pair[2];
    s->ready = false;
    s->restart_at_ms = 0;
    s->doom[0] = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        log_error("supervisor", "cannot make a socket pair", "why", strerror(errno));
        s->restart_at_ms = now_ms() + BACKOFF_MOST_MS;
        return;
    }
    int room = MESSAGE_TEXT * 2;
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);   /* the default holds a message too */
    (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    char restarts[16];
    snprintf(restarts, sizeof restarts, "%u", s->restarts);
    setenv("TIDEGATE_RESTARTS", restarts, 1);
    if (s->restarts && s->state.pid_fd >= 0) {
        char good[PATH_MAX + 8];
        snprintf(good, sizeof good, "%s.good", s->state.pid_file);
        setenv("TIDEGATE_GOOD", good, 1);
    }
    if (s->state.pid_fd >= 0)
        setenv("TIDEGATE_PID_FILE_HELD", s->state.pid_file, 1);     /* whatever the files say by now */
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        close(s->signals);
        handover_close(&s->state);
        supervisor_log_end();
        if (s->ready_pipe >= 0)
            close(s->ready_pipe);
        if (s->tell_fd != STDERR_FILENO)
            close(s->tell_fd);
        pthread_setname_np(pthread_self(), "tidegate worker");
        struct control_options o = { s->options->config, s->options->overrides, pair[1] };
        exit(control_run(&o));      /* not _exit: the sanitizers report at exit */
    }
    close(pair[1]);
    if (pid < 0) {
        log_error("supervisor", "cannot start the worker", "why", strerror(errno));
        close(pair[0]);
        s->restart_at_ms = now_ms() + BACKOFF_MOST_MS;
        return;
    }
    if (s->state.channel >= 0)
        close(s->state.channel);
    s->state.channel = pair[0];
    s->state.worker = pid;
    s->started_ms = now_ms();
}

static const char *how_it_ended(int status)
{
    static char text[64];
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, "exit code %d", WEXITSTATUS(status));
    return text;
}

static void on_worker_end(struct supervisor *s, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    while (s->state.channel >= 0) {     /* its last words */
        struct pollfd p = { s->state.channel, POLLIN, 0 };
        if (poll(&p, 1, 0) <= 0)
            break;
        on_message(s);
    }
    s->state.worker = 0;
    if (s->stopping)
        return;
    if (!s->ever_ready && !s->doom[0])
        snprintf(s->doom, sizeof s->doom, "tidegate: the worker ended before it accepted connections: %s\n",
                 how_it_ended(status));
    if (s->doom[0] && write(s->tell_fd, s->doom, strlen(s->doom)) < 0)
        log_warn("supervisor", "cannot write to standard error");
    if (s->state.old_worker) {          /* the new binary's worker failed: the old one goes on */
        log_error("supervisor", "the new worker failed, the old one stays", "how", how_it_ended(status));
        s->state.worker = s->state.old_worker;
        s->state.channel = s->state.old_channel;
        s->state.old_worker = 0;
        s->state.old_channel = -1;
        s->ready = s->ever_ready = true;
        return;
    }
    if (!s->ever_ready) {
        s->exit_code = code ? code : 1;
        s->stopping = true;
        tell_starter(s, (char)s->exit_code, s->doom);
        return;
    }
    uint64_t now = now_ms();
    if (now - s->started_ms > HEALTHY_MS)
        s->backoff_ms = BACKOFF_FIRST_MS;
    log_error("supervisor", "worker ended unexpectedly, starting a new one", "how", how_it_ended(status), "in_ms",
              log_number(s->backoff_ms));
    s->restarts++;
    s->restart_at_ms = now + s->backoff_ms;
    s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : s->backoff_ms * 2;
}

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == s->state.worker)
            on_worker_end(s, status);
        else if (pid == s->state.old_worker)
            s->state.old_worker = 0;
}

/* -- signals -- */

static void stop(struct supervisor *s)
{
    notify_manager("STOPPING=1");
    if (!s->stopping) {
        s->stopping = true;
        handover_close_listeners(&s->state);        /* from here on connections are refused, not queued for nobody */
        s->kill_at_ms = now_ms() + s->grace_ms + KILL_AFTER_MS;
    }
    if (s->state.worker)
        kill(s->state.worker, SIGTERM);
    if (s->state.old_worker)            /* of an upgrade that is not done: it has requests, too */
        kill(s->state.old_worker, SIGTERM);
}

/* check, with the same overrides as we have. Only for a child. */
static void exec_check(struct supervisor *s)
{
    enum { WORDS = 256 };
    const char *words[WORDS] = { s->binary, "check", "-c", s->options->config };
    int n = 4;
    char *lines = strdup(s->options->overrides ? s->options->overrides : ""), *save = NULL;
    for (char *line = strtok_r(lines, "\n", &save); line && n < WORDS - 1; line = strtok_r(NULL, "\n", &save))
        words[n++] = line;
    execv(s->binary, (char **)(uintptr_t)words);
    _exit(127);
}

/* The new binary first proves on the same configuration that it works at all; it then takes our place, and the old
 * worker serves until the new one is ready. */
static void upgrade(struct supervisor *s)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        exec_check(s);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        log_error("supervisor", "the new binary refuses the configuration: nothing is upgraded", "binary", s->binary);
        return;
    }
    log_info("supervisor", "handing over to a new binary", "binary", s->binary);
    handover_export(&s->state);
    execv(s->binary, s->options->argv);
    log_error("supervisor", "cannot start the new binary", "why", strerror(errno));
    handover_unexport(&s->state);
}

static void on_signals(struct supervisor *s)
{
    struct signalfd_siginfo got;
    while (read(s->signals, &got, sizeof got) == sizeof got) {
        switch (got.ssi_signo) {
        case SIGCHLD: reap(s); break;
        case SIGTERM:
        case SIGINT: stop(s); break;
        case SIGUSR2: upgrade(s); break;
        default:
            if (s->state.worker)
                kill(s->state.worker, (int)got.ssi_signo);
        }
    }
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int wait_ms(const struct supervisor *s)
{
    uint64_t now = now_ms(), at = s->stopping ? s->kill_at_ms : s->restart_at_ms;
    if (!at)
        return -1;
    return at > now ? (int)(at - now) : 0;
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);     /* the lower limit is told when it is met */
    }
}

static int run(struct supervisor *s)
{
    supervisor_log_begin();
    raise_limits();
    s->signals = open_signals();
    s->backoff_ms = BACKOFF_FIRST_MS;
    handover_import(&s->state);
    if (s->state.inherited) {
        s->state.old_worker = s->state.worker;
        s->state.old_channel = s->state.channel;
        s->state.channel = -1;
    }
    start_worker(s);
    while (!s->stopping || s->state.worker) {
        struct pollfd polled[2] = { { s->signals, POLLIN, 0 }, { s->state.channel, POLLIN, 0 } };
        if (poll(polled, 2, wait_ms(s)) < 0 && errno != EINTR)
            break;
        if (polled[1].revents && s->state.channel >= 0)
            on_message(s);
        on_signals(s);
        reap(s);
        uint64_t now = now_ms();
        if (s->stopping && s->state.worker && s->kill_at_ms && now >= s->kill_at_ms) {
            log_error("supervisor", "the worker did not end in time and is killed");
            kill(s->state.worker, SIGKILL);
            s->kill_at_ms = now + KILL_AFTER_MS;
        }
        if (!s->stopping && s->restart_at_ms && now >= s->restart_at_ms)
            start_worker(s);
    }
    remove_pid_file(s);
    return s->exit_code;
}

/* -- to the background -- */

static int wait_for_child(int fd)
{
    char code = 1, text[8192];
    bool got = read(fd, &code, 1) == 1;
    for (ssize_t n; got && (n = read(fd, text, sizeof text)) > 0;)
        if (code == 0 && write(STDOUT_FILENO, text, (size_t)n) < 0)
            break;
    return got ? code : 1;
}

static int detach(struct supervisor *s)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return 1;
    pid_t pid = fork();
    if (pid < 0)
        return 1;
    if (pid > 0) {
        close(ends[1]);
        return wait_for_child(ends[0]);
    }
    close(ends[0]);
    setsid();
    /* Whatever else the caller had open is not ours to hold: someone may wait for its end. */
    for (int fd = STDERR_FILENO + 1; fd < FDS_LOOKED_AT; fd++)
        if (fd != ends[1])
            close(fd);
    s->ready_pipe = ends[1];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        s->tell_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    setenv("TIDEGATE_DETACHED", "1", 1);
    _exit(run(s));
}

static bool has_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max >= FILES_LEAST)
        return true;
    dprintf(STDERR_FILENO, "tidegate: only %llu files may be open (ulimit -n, LimitNOFILE=); at least %d are needed\n",
            (unsigned long long)files.rlim_max, FILES_LEAST);
    return false;
}

int supervisor_run(const struct supervisor_options *options)
{
    static struct supervisor s;
    if (!has_files())
        return 1;
    s.options = options;
    s.ready_pipe = -1;
    s.tell_fd = STDERR_FILENO;
    handover_init(&s.state);
    ssize_t n = readlink("/proc/self/exe", s.binary, sizeof s.binary - 1);
    if (n > 0)
        s.binary[n] = 0;
    return options->detach && !handover_waits() ? detach(&s) : run(&s);
}
