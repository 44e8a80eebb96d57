/* stream_tcp: the plain stream. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/stream.h"

/* recvfrom and sendto without an address. Not by libc's functions: those are cancellation points, and in a program with
 * threads each pays for the chance of being cancelled, which no thread of ours is. Gives what the kernel does: a count,
 * or -errno. */
static inline ssize_t transfer(long call, int fd, const void *at, size_t size, int flags)
{
#ifdef __x86_64__
    ssize_t result = call;
    register long how __asm__("r10") = flags, address __asm__("r8") = 0, len __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)fd), "S"(at), "d"(size), "r"(how), "r"(address), "r"(len)
                     : "rcx", "r11", "memory");
    return result;
#else
    ssize_t result = syscall(call, fd, at, size, flags, NULL, 0);
    return result < 0 ? -errno : result;
#endif
}

static enum rc tcp_read(struct stream *s, char *at, size_t size, size_t *n)
{
    ssize_t got;
    do
        got = transfer(SYS_recvfrom, s->io.fd, at, size, 0);
    while (got == -EINTR);
    if (got > 0) {
        /* A short read emptied the socket: the next byte gives a new edge. After a hang-up none comes any more. */
        if ((size_t)got < size && !(s->io.ready & IO_HUP))
            s->io.ready &= (uint8_t)~IO_READABLE;
        *n = (size_t)got;
        return RC_OK;
    }
    if (got == 0)
        return RC_EOF;
    if (got == -EAGAIN) {
        s->io.ready &= (uint8_t)~IO_READABLE;
        return RC_AGAIN;
    }
    /* The kernel says EPIPE when the reset came after an orderly end: the end is what counts. */
    return got == -EPIPE ? RC_EOF : RC_RESET;
}

static enum rc tcp_write(struct stream *s, struct slice bytes, size_t *n)
{
    ssize_t sent;
    int flags = s->io.more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
    do
        sent = transfer(SYS_sendto, s->io.fd, bytes.at, bytes.len, flags);
    while (sent == -EINTR);
    *n = 0;
    if (sent >= 0) {
        *n = (size_t)sent;
        if ((size_t)sent < bytes.len)
            s->io.ready &= (uint8_t)~IO_WRITABLE;
        return RC_OK;
    }
    /* ENOTCONN: connect has not finished. */
    if (sent == -EAGAIN || sent == -ENOTCONN) {
        s->io.ready &= (uint8_t)~IO_WRITABLE;
        return RC_AGAIN;
    }
    return RC_RESET;
}

static enum rc tcp_handshake(struct stream *s)
{
    (void)s;
    return RC_OK;
}

/* The peer may be gone already, which is what we wanted to tell it. */
static void tcp_shut(struct stream *s) { (void)shutdown(s->io.fd, SHUT_WR); }

static void tcp_close(struct stream *s) { io_close(&s->io); }

void stream_reset_on_close(struct stream *s)
{
    struct linger now = { 1, 0 };
    (void)setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);    /* a plain close is the next best */
}

static void tcp_abort(struct stream *s)
{
    stream_reset_on_close(s);
    tcp_close(s);
}

static const struct stream_ops tcp_ops = { tcp_read, tcp_write, tcp_handshake, tcp_shut, tcp_close, tcp_abort };

void stream_tcp_init(struct stream *s, int fd)
{
    *s = (struct stream){ .io = { .fd = fd, .ready = IO_READABLE | IO_WRITABLE }, .ops = &tcp_ops };
}

void stream_push(struct stream *s)
{
    int on = 1;
    /* Setting what is set pushes. A unix socket has no such option, and keeps nothing back. */
    (void)setsockopt(s->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void stream_unpace(int fd, const struct addr *a)
{
    /* BBR sends by timers, which cost more here than the bytes do. Reno has none, and no kernel lacks it. */
    if (addr_is_loopback(a))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);      /* only dearer without */
}

enum rc stream_peek(struct stream *s, char *at, size_t size, size_t *n)
{
    ssize_t got;
    do
        got = recv(s->io.fd, at, size, MSG_PEEK);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        *n = (size_t)got;
        return RC_OK;
    }
    if (got == 0)
        return RC_EOF;
    if (errno != EAGAIN)
        return RC_RESET;
    s->io.ready &= (uint8_t)~IO_READABLE;
    return RC_AGAIN;
}
