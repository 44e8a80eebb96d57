#include "http/tunnel.h"

enum { KEEP_MAX = SCRATCH_BYTES + 64 * 1024, TURNS = 8 };

static void way_init(struct tunnel_way *w, struct stream *from, struct stream *to, struct slice early)
{
    *w = (struct tunnel_way){ .from = from, .to = to };
    buf_init(&w->kept, KEEP_MAX);
    (void)buf_append(&w->kept, early);  /* bounded by the input buffers, which are smaller */
}

void tunnel_init(struct tunnel *t, struct loop *loop, struct stream *client, struct stream *upstream,
                 struct slice early_client, struct slice early_upstream)
{
    t->loop = loop;
    way_init(&t->out, client, upstream, early_client);
    way_init(&t->back, upstream, client, early_upstream);
}

void tunnel_free(struct tunnel *t)
{
    buf_reset(&t->out.kept);
    buf_reset(&t->back.kept);
}

/* RC_OK: nothing kept any more. */
static enum rc drain(struct tunnel_way *w, bool *moved)
{
    while (buf_len(&w->kept)) {
        size_t n;
        if (!(w->to->io.ready & IO_WRITABLE))
            return RC_AGAIN;
        enum rc rc = stream_write(w->to, buf_slice(&w->kept), &n);
        if (rc != RC_OK)
            return rc;
        *moved |= n > 0;
        w->bytes += n;
        buf_consume(&w->kept, n);
    }
    return RC_OK;
}

static enum rc way_run(struct loop *loop, struct tunnel_way *w, bool *moved)
{
    for (int turn = 0; turn < TURNS; turn++) {
        enum rc rc = drain(w, moved);
        if (rc != RC_OK)
            return rc;
        if (w->ended)
            return RC_END;
        if (!(w->from->io.ready & IO_READABLE))
            return RC_AGAIN;
        size_t n, sent = 0;
        rc = stream_read(w->from, loop->scratch, SCRATCH_BYTES, &n);
        if (rc == RC_EOF) {
            w->ended = true;
            w->to->ops->shut(w->to);
            return RC_END;
        }
        if (rc != RC_OK)
            return rc;
        *moved = true;
        rc = stream_write(w->to, slice_make(loop->scratch, n), &sent);
        if (rc != RC_OK && rc != RC_AGAIN)
            return rc;
        w->bytes += sent;
        if (sent < n && buf_append(&w->kept, slice_make(loop->scratch + sent, n - sent)) != RC_OK)
            return RC_RESET;
    }
    return RC_LIMIT;                    /* there is more: others first */
}

enum rc tunnel_run(struct tunnel *t, bool *moved)
{
    *moved = false;
    enum rc out = way_run(t->loop, &t->out, moved);
    enum rc back = way_run(t->loop, &t->back, moved);
    if (out == RC_RESET || back == RC_RESET)
        return RC_RESET;
    if (out == RC_END && back == RC_END)
        return RC_END;
    return out == RC_LIMIT || back == RC_LIMIT ? RC_LIMIT : RC_AGAIN;
}
