#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "net/stream.h"

enum { ACCEPTS_PER_TURN = 64, PAUSE_MS = 100, DEFER_ACCEPT_S = 1 };

/* A socket file that nobody listens on any more is left over from a crash; one that answers is in use. */
static bool remove_stale_socket(const struct addr *a)
{
    struct stat st;
    if (stat(a->u.un.sun_path, &st) < 0)
        return true;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, &a->u.any, a->len) == 0;
    if (fd >= 0)
        close(fd);
    if (answers) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(a->u.un.sun_path) == 0;
}

static int bind_one(const struct addr *a, bool share)
{
    int on = 1;
    int family = a->u.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool ok = true;
    if (family != AF_UNIX) {
        ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
             (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
        int defer = DEFER_ACCEPT_S;
        /* All three only save work: not fatal. Accepted sockets inherit them. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof defer);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        stream_unpace(fd, a);
    }
    if (family == AF_INET6)
        ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    if (ok && bind(fd, &a->u.any, a->len) == 0 && listen(fd, LISTENER_BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void explain(const struct addr *a, char *why, size_t size)
{
    char text[ADDR_TEXT];
    int len = (int)addr_print(a, text);
    if (errno == EADDRINUSE)
        snprintf(why, size, "cannot listen on %.*s: the address is in use; end the program that has it, or choose "
                            "another port", len, text);
    else if (errno == EACCES && a->u.any.sa_family != AF_UNIX)
        snprintf(why, size, "cannot listen on %.*s: no permission for ports below 1024; start as root, give the binary "
                            "CAP_NET_BIND_SERVICE, or choose a higher port", len, text);
    else if (errno == EADDRNOTAVAIL)
        snprintf(why, size, "cannot listen on %.*s: this machine has no such address", len, text);
    else if (errno == ENOENT)
        snprintf(why, size, "cannot listen on %.*s: the folder does not exist", len, text);
    else
        snprintf(why, size, "cannot listen on %.*s: %s", len, text, strerror(errno));
}

/* With SO_REUSEPORT the kernel would let a second gateway of the same user share the port in silence. */
static bool is_free(const struct addr *a)
{
    int fd = bind_one(a, false);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

int listener_bind(struct addr *a, int count, int *fds, char *why, size_t size)
{
    bool is_unix = a->u.any.sa_family == AF_UNIX;
    if (is_unix ? !remove_stale_socket(a) : !is_free(a)) {
        explain(a, why, size);
        return -1;
    }
    int want = is_unix ? 1 : count, n = 0;
    for (; n < want; n++) {
        fds[n] = bind_one(a, !is_unix);
        if (fds[n] < 0)
            break;
        if (n == 0 && !is_unix)
            (void)getsockname(fds[0], &a->u.any, &a->len);  /* the real port, for ":0"; cannot fail on a bound socket */
    }
    if (n == want)
        return n;
    explain(a, why, size);
    while (n-- > 0)
        close(fds[n]);
    return -1;
}

/* Out of descriptors, the kernel would report the same connection again and again: give up the spare one to take it
 * and close it, so that its client knows. */
static void turn_away(struct listener *l)
{
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    int fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(struct watch *w)
{
    struct listener *l = LINK_OWNER(w, struct listener, watch);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        from.ss_family = AF_UNIX;
        int fd = accept4(w->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            l->on_accept(l, fd, (struct sockaddr *)&from);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            l->errors++;
            if (l->errors == 1 || l->errors % 1000 == 0)
                log_error("listener", "cannot accept", "why", strerror(errno), "times", log_number(l->errors));
            turn_away(l);
            loop_unwatch(l->loop, &l->watch);
            loop_deadline(l->loop, &l->pause, l->loop->clock.now_ms + PAUSE_MS);
            return;
        }
        /* Else the connection died in the queue: the next one. */
    }
}

static void on_pause_over(struct deadline *d)
{
    struct listener *l = LINK_OWNER(d, struct listener, pause);
    loop_watch(l->loop, &l->watch);
}

void listener_start(struct listener *l, struct loop *loop, int fd,
                    void (*on_accept)(struct listener *l, int fd, const struct sockaddr *peer))
{
    *l = (struct listener){ .loop = loop, .on_accept = on_accept };
    l->watch.fd = fd;
    l->watch.on_readable = on_readable;
    l->pause.fire = on_pause_over;
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    loop_watch(loop, &l->watch);
}

void listener_stop(struct listener *l)
{
    loop_unwatch(l->loop, &l->watch);
    deadline_remove(&l->loop->deadlines, &l->pause);
    close(l->watch.fd);
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    l->watch.fd = l->spare_fd = -1;
}
