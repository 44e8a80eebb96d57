#include "run/control_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lua/api.h"

enum { LINE = 64 * 1024, TELL_MS = 2000 };

struct control_socket {
    struct watch watch;
    struct loop *loop;
    char *(*command)(void *who, const char *line);
    void *who;
    struct sockaddr_un addr;
};

struct caller {
    struct watch watch;
    struct control_socket *socket;
    struct deadline limit;
    size_t len;
    char line[LINE];
};

static bool socket_name(struct sockaddr_un *a, const char *pid_file)
{
    size_t len = strlen(pid_file);
    if (len > 4 && strcmp(pid_file + len - 4, ".pid") == 0)
        len -= 4;
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(a->sun_path, sizeof a->sun_path, "%.*s.sock", (int)len, pid_file);
    return n > 0 && (size_t)n < sizeof a->sun_path;
}

static void hang_up(struct caller *c)
{
    loop_unwatch(c->socket->loop, &c->watch);
    deadline_remove(&c->socket->loop->deadlines, &c->limit);
    close(c->watch.fd);
    free(c);
}

/* Answers are small and the reader is on this machine; a stuck one is given up. */
static void tell(int fd, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = { fd, POLLOUT, 0 };
            if (poll(&p, 1, TELL_MS) <= 0)
                return;
            continue;
        }
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void on_line(struct watch *w)
{
    struct caller *c = LINK_OWNER(w, struct caller, watch);
    ssize_t n = read(w->fd, c->line + c->len, LINE - 1 - c->len);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        c->len += (size_t)n;
        c->line[c->len] = 0;
        char *end = strchr(c->line, '\n');
        if (!end && c->len < LINE - 1)
            return;
        if (end) {
            *end = 0;
            char *answer = c->socket->command(c->socket->who, c->line);
            tell(w->fd, answer);
            free(answer);
        }
    }
    hang_up(c);
}

static void on_silence(struct deadline *d) { hang_up(LINK_OWNER(d, struct caller, limit)); }

static void on_call(struct watch *w)
{
    struct control_socket *s = LINK_OWNER(w, struct control_socket, watch);
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct caller *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->socket = s;
    c->watch.fd = fd;
    c->watch.on_readable = on_line;
    c->limit.fire = on_silence;
    loop_watch(s->loop, &c->watch);
    loop_deadline(s->loop, &c->limit, s->loop->clock.now_ms + TELL_MS);
}

struct control_socket *control_socket_new(struct loop *loop, const char *pid_file,
                                          char *(*command)(void *who, const char *line), void *who, char *why,
                                          size_t size)
{
    struct control_socket *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    *s = (struct control_socket){ .loop = loop, .command = command, .who = who };
    s->watch.fd = -1;
    s->watch.on_readable = on_call;
    if (!socket_name(&s->addr, pid_file)) {
        snprintf(why, size, "gateway.pid_file: the path is too long for the control socket beside it (at most %zu "
                            "bytes): \"%s\"\n", sizeof s->addr.sun_path - 2, pid_file);
        free(s);
        return NULL;
    }
    /* The pid file's lock was taken: whatever lies here is left over, or an older worker's that is going. */
    (void)unlink(s->addr.sun_path);
    mode_t old = umask(0177);
    s->watch.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = s->watch.fd >= 0 && bind(s->watch.fd, (struct sockaddr *)&s->addr, sizeof s->addr) == 0 &&
              listen(s->watch.fd, 16) == 0;
    umask(old);
    if (!ok) {
        snprintf(why, size, "cannot make the control socket \"%s\": %s\n", s->addr.sun_path, strerror(errno));
        if (s->watch.fd >= 0)
            close(s->watch.fd);
        free(s);
        return NULL;
    }
    loop_watch(loop, &s->watch);
    return s;
}

/* The file is left: a newer worker may have its own there already. The supervisor removes it at its end. */
void control_socket_free(struct control_socket *s)
{
    if (!s)
        return;
    loop_unwatch(s->loop, &s->watch);
    close(s->watch.fd);
    free(s);
}

char *tide_control_call(const char *socket_path, const char *command, uint32_t timeout_ms, struct tide_error *e)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t len = strlen(socket_path), have = 0, cap = 4096;
    if (len >= sizeof a.sun_path) {
        snprintf(e->text, sizeof e->text, "the path of the control socket is too long: %s", socket_path);
        return NULL;
    }
    memcpy(a.sun_path, socket_path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        snprintf(e->text, sizeof e->text, "no gateway answers on %s: %s", socket_path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    tell(fd, command);
    tell(fd, "\n");
    char *text = malloc(cap);
    if (!text)
        abort();
    for (ssize_t n; (n = read(fd, text + have, cap - have - 1)) > 0;) {
        have += (size_t)n;
        if (cap - have < 2 && !(text = realloc(text, cap *= 2)))
            abort();
    }
    close(fd);
    text[have] = 0;
    if (have)
        return text;
    free(text);
    snprintf(e->text, sizeof e->text, "the gateway on %s did not answer within %u ms", socket_path, timeout_ms);
    return NULL;
}

void tide_free(void *p) { free(p); }
