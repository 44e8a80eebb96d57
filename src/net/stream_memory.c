#include "net/stream_memory.h"

#include <limits.h>

enum { NO_SOCKET = INT_MAX };       /* not -1, which says closed; no system call takes it */

static enum rc memory_read(struct stream *s, char *at, size_t size, size_t *n)
{
    struct wire *w = s->wire;
    if (!w || w->is_reset)
        return RC_RESET;
    size_t len = buf_len(&w->in);
    if (len == 0 && w->ended)
        return RC_EOF;
    *n = len < size ? len : size;
    if (*n) {
        memcpy(at, w->in.at + w->in.start, *n);
        buf_consume(&w->in, *n);
    }
    if (*n == len && !w->ended)
        s->io.ready &= (uint8_t)~IO_READABLE;
    return *n ? RC_OK : RC_AGAIN;
}

static enum rc memory_write(struct stream *s, struct slice bytes, size_t *n)
{
    struct wire *w = s->wire;
    *n = 0;
    if (!(s->io.ready & IO_WRITABLE))
        return RC_AGAIN;                /* not connected yet */
    if (!w || w->is_reset || w->shut || buf_append(&w->out, bytes) != RC_OK)
        return RC_RESET;
    *n = bytes.len;
    return RC_OK;
}

static enum rc memory_handshake(struct stream *s)
{
    (void)s;
    return RC_OK;
}

static void memory_shut(struct stream *s) { s->wire->shut = true; }

/* The wire may be gone from here on. */
static void memory_close(struct stream *s)
{
    s->wire->shut = true;
    s->wire->stream = NULL;
    s->wire = NULL;
    s->io.fd = -1;
}

static const struct stream_ops memory_ops = {
    memory_read, memory_write, memory_handshake, memory_shut, memory_close, memory_close,
};

void stream_memory_init(struct stream *s, struct wire *w, bool is_open)
{
    *w = (struct wire){ .stream = s };
    buf_init(&w->in, UINT32_MAX);
    buf_init(&w->out, UINT32_MAX);
    *s = (struct stream){
        .io = { .fd = NO_SOCKET, .ready = is_open ? IO_WRITABLE : 0, .registered = true },
        .ops = &memory_ops,
        .wire = w,
    };
}

static void tell(struct wire *w, uint8_t ready)
{
    if (!w->stream)
        return;
    w->stream->io.ready |= ready;
    w->stream->io.on_event(&w->stream->io);
}

void wire_open(struct wire *w) { tell(w, IO_WRITABLE); }

void wire_refuse(struct wire *w, int error)
{
    w->error = error;
    w->is_reset = true;
    tell(w, IO_ERROR | IO_READABLE | IO_WRITABLE);
}

bool wire_send(struct wire *w, struct slice bytes)
{
    if (!w->stream || w->ended || buf_append(&w->in, bytes) != RC_OK)
        return false;
    tell(w, IO_READABLE);
    return true;
}

void wire_end(struct wire *w)
{
    w->ended = true;
    tell(w, IO_READABLE | IO_HUP);
}

void wire_reset(struct wire *w)
{
    w->is_reset = true;
    tell(w, IO_READABLE | IO_WRITABLE | IO_HUP | IO_ERROR);
}

void wire_free(struct wire *w)
{
    buf_reset(&w->in);
    buf_reset(&w->out);
}
