#include "http/ws_end.h"

#include <stdlib.h>
#include <sys/random.h>

enum { OWN_MAX = 16 << 20 };            /* frames of our own that wait for an end */

static void take_key(struct ws_shared *s, uint8_t key[4])
{
    if (s->keys_left < 4) {
        if (getrandom(s->keys, sizeof s->keys, 0) != sizeof s->keys)
            abort();                    /* so few bytes never come short */
        s->keys_left = sizeof s->keys;
    }
    s->keys_left -= 4;
    memcpy(key, s->keys + s->keys_left, 4);
}

/* -- writing to an end -- */

/* RC_OK: nothing is kept any more. */
enum rc ws_end_write_kept(struct ws_relay *r, struct ws_end *e)
{
    while (buf_len(&e->kept)) {
        size_t n = 0;
        if (!(e->stream->io.ready & IO_WRITABLE))
            return RC_AGAIN;
        enum rc rc = stream_write(e->stream, buf_slice(&e->kept), &n);
        if (rc == RC_AGAIN)
            return rc;
        if (rc != RC_OK) {
            ws_end_lose(r, e, "its connection broke");
            return RC_OK;
        }
        e->took_ms = r->now_ms;
        buf_consume(&e->kept, n);
    }
    ws_end_other(r, e)->heard_ms = r->now_ms;     /* it was not read meanwhile */
    return RC_OK;
}

/* What an end does not take at once is kept; it gets nothing after its close frame. */
void ws_end_put(struct ws_relay *r, struct ws_end *e, struct slice bytes)
{
    size_t n = 0;
    if (!bytes.len || e->is_gone || e->is_torn)
        return;
    if (!buf_len(&e->kept)) {
        enum rc rc = stream_write(e->stream, bytes, &n);
        e->took_ms = r->now_ms;
        if (rc != RC_OK && rc != RC_AGAIN) {
            ws_end_lose(r, e, "its connection broke");
            return;
        }
    }
    if (n < bytes.len && buf_append(&e->kept, slice_from(bytes, n)) != RC_OK)
        ws_end_lose(r, e, "it does not take what it gets");
}

/* A frame of ours for this end: it goes behind the frame under way. */
enum rc ws_end_add_frame(struct ws_relay *r, struct ws_end *e, struct ws_head h, struct slice data)
{
    h.len = data.len;
    h.masked = ws_end_is_server(r, e);
    if (h.masked)
        take_key(r->shared, h.mask);
    if (!buf_len(&e->later))
        e->waits_ms = r->now_ms;
    e->later.max = OWN_MAX + WS_HEAD_MAX + (uint32_t)data.len;
    char *at = buf_len(&e->later) > OWN_MAX ? NULL : buf_room(&e->later, WS_HEAD_MAX + data.len);
    if (!at)
        return RC_LIMIT;
    size_t n = ws_head_write(at, &h);
    if (data.len)
        memcpy(at + n, data.at, data.len);
    if (h.masked)
        ws_mask(at + n, data.len, h.mask, 0);
    buf_added(&e->later, n + data.len);
    return RC_OK;
}

void ws_end_put_frames(struct ws_relay *r, struct ws_end *e)
{
    uint64_t heard = e->heard_ms + (r->now_ms - e->waits_ms);   /* it could not answer what has waited */
    e->heard_ms = heard < r->now_ms ? heard : r->now_ms;        /* it may have spoken meanwhile */
    ws_end_put(r, e, buf_slice(&e->later));
    buf_reset(&e->later);
}

/* -- ending -- */

void ws_end_tell(struct ws_relay *r, struct ws_end *e, unsigned code, struct slice reason)
{
    char body[WS_CONTROL_MAX];
    size_t n = ws_close_write(body, code, reason);
    if (e->was_told || e->is_gone || e->is_torn)
        return;
    e->was_told = true;
    if (ws_end_add_frame(r, e, (struct ws_head){ .opcode = WS_CLOSE, .fin = true }, slice_make(body, n)) != RC_OK)
        e->is_torn = true;              /* it takes nothing anyway */
}

void ws_end_begin_end(struct ws_relay *r, unsigned code, const struct ws_end *by, const char *why)
{
    if (r->closing_ms)
        return;
    r->closing_ms = r->now_ms ? r->now_ms : 1;
    r->code = (uint16_t)code;
    r->by = (uint8_t)(by - r->ends);
    r->why = why;
}

static unsigned code_without(const struct ws_relay *r, const struct ws_end *gone)
{
    return ws_end_is_server(r, gone) ? WS_CLOSE_BAD_GATEWAY : WS_CLOSE_GOING_AWAY;
}

/* What this end still sends is of no use; the other one is told so. */
static void give_up(struct ws_relay *r, struct ws_end *e)
{
    struct ws_end *to = ws_end_other(r, e);
    to->is_torn |= !ws_end_is_between(r, to) && ws_end_takes_more(to);
    ws_end_tell(r, to, code_without(r, e), SLICE_NONE);
}

void ws_end_lose(struct ws_relay *r, struct ws_end *e, const char *why)
{
    if (e->is_gone)
        return;
    e->is_gone = true;
    buf_reset(&e->kept);
    ws_end_begin_end(r, WS_CLOSE_ABNORMAL, e, why);
    give_up(r, e);
}

void ws_end_refuse(struct ws_relay *r, struct ws_end *from, unsigned code, const char *why)
{
    ws_end_begin_end(r, code, from, why);
    r->by_relay = true;
    from->is_deaf = true;
    ws_end_tell(r, from, code, slice_text(why));
    give_up(r, from);
}
