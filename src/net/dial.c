#include "net/dial.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/stream_memory.h"

int dial(struct loop *loop, struct stream *s, const struct addr *to, enum dial_for what)
{
    int on = 1, type = what == DIAL_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
    if (loop->dialer)
        return loop->dialer->dial(loop, s, to, what);
    int fd = socket(to->u.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (type == SOCK_STREAM && to->u.any.sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);     /* only slower without */
        stream_unpace(fd, to);
    }
    int error = connect(fd, &to->u.any, to->len) < 0 ? errno : 0;
    if (error && error != EINPROGRESS) {
        close(fd);
        return error;
    }
    stream_tcp_init(s, fd);
    s->io.ready = error ? 0 : IO_WRITABLE;
    return error;
}

bool dial_lacks_sockets(int why) { return why == EMFILE || why == ENFILE || why == ENOBUFS; }

int dial_move(struct loop *loop, struct stream *from, struct stream *to)
{
    void (*on_event)(struct io *io) = to->io.on_event;
    assert(stream_is_plain(from));
    *to = *from;
    to->io.on_event = on_event;
    loop_remove(loop, &from->io);
    to->io.registered = false;
    if (loop_add(loop, &to->io))
        return 0;
    int error = errno;
    stream_close(to);
    return error;
}

int dial_result(const struct stream *s)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (s->wire)
        return s->wire->error;
    return getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}
