#pragma once
/* stream: a byte stream over a socket, plain or TLS, as a struct of functions. */
#include "base/rc.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/loop.h"

struct stream;

struct stream_ops {
    /* Reads at most size bytes. RC_OK (*n > 0), RC_AGAIN, RC_EOF (clean end), RC_RESET. Clears IO_READABLE when nothing
     * more is there to read. */
    enum rc (*read)(struct stream *s, char *at, size_t size, size_t *n);
    /* Writes what fits, maybe less than asked. RC_OK (*n may be short: wait for IO_WRITABLE), RC_AGAIN, RC_RESET. */
    enum rc (*write)(struct stream *s, struct slice bytes, size_t *n);
    /* Goes on with the handshake. RC_OK when done, RC_AGAIN, else failed. */
    enum rc (*handshake)(struct stream *s);
    /* Says that nothing more will be written; reading goes on. */
    void (*shut)(struct stream *s);
    /* Closes the socket and frees what belongs to the stream. */
    void (*close)(struct stream *s);
    /* The same, but the peer sees a reset, and over TLS no close_notify. */
    void (*abort)(struct stream *s);
};

struct stream {
    struct io io;
    const struct stream_ops *ops;
    void *tls;                      /* SSL, for stream_tls */
    struct wire *wire;              /* its far end, for stream_memory */
};

static inline enum rc stream_read(struct stream *s, char *at, size_t size, size_t *n)
{
    return s->ops->read(s, at, size, n);
}
static inline enum rc stream_write(struct stream *s, struct slice bytes, size_t *n)
{
    return s->ops->write(s, bytes, n);
}
static inline void stream_close(struct stream *s)
{
    if (s->io.fd >= 0)
        s->ops->close(s);
}
/* Closes so that the peer must not take what it got for a complete message. */
static inline void stream_abort(struct stream *s)
{
    if (s->io.fd >= 0)
        s->ops->abort(s);
}
/* A socket with nothing in between. */
static inline bool stream_is_plain(const struct stream *s) { return !s->tls && !s->wire; }

/* Makes a plain stream of a non-blocking socket. */
void stream_tcp_init(struct stream *s, int fd);

/* Sends what a plain stream's kernel keeps back since a write with `io.more`. */
void stream_push(struct stream *s);

/* fd is a TCP socket to, or listening at, an address of loopback: its bytes go at once, whatever the machine's
 * congestion control would do on a network. Sockets accepted from it inherit that. Elsewhere nothing happens. */
void stream_unpace(int fd, const struct addr *a);

/* As stream_read of a plain stream, but the bytes stay where they are. */
enum rc stream_peek(struct stream *s, char *at, size_t size, size_t *n);
/* For the functions of a stream over a socket: its close will be a reset. */
void stream_reset_on_close(struct stream *s);
