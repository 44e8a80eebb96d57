#include "http/ws_relay.h"

#include <stdlib.h>

#include "http/ws_end.h"
#include "http/ws_scan.h"

enum {
    TURNS = 4,
    OWED_MAX = 1 << 20,                 /* bytes for an end that it has not taken: what it says has to wait */
    LINGER_MS = 1000,                   /* for an end that broke the rules to read why */
};

const char ws_ping_body[WS_PING_BYTES + 1] = "tidegate";

static char *room_of(struct ws_shared *s)
{
    if (!s->room && !(s->room = malloc(WS_REST_MAX + WS_READ_BYTES)))
        abort();
    return s->room;
}

void ws_shared_free(struct ws_shared *s)
{
    ws_zip_free(&s->zip);
    buf_reset(&s->inflated);
    buf_reset(&s->deflated);
    free(s->room);
    s->room = NULL;
}

void ws_relay_close(struct ws_relay *r, unsigned code, struct slice reason, const char *why)
{
    if (r->closing_ms)
        return;
    ws_end_begin_end(r, code, &r->ends[WS_CLIENT], why);
    r->by_relay = true;
    ws_end_tell(r, &r->ends[WS_CLIENT], code, reason);
    ws_end_tell(r, &r->ends[WS_SERVER], code, reason);
}

/* -- running -- */

static bool is_over(const struct ws_end *e) { return e->is_gone || e->has_closed; }

/* What an end that broke the rules still sends is thrown away, until it ends. */
static enum rc discard(struct ws_relay *r, struct ws_end *e)
{
    size_t n;
    if (e->was_told && !e->is_shut && !buf_len(&e->kept) && !buf_len(&e->later)) {
        e->is_shut = true;
        e->stream->ops->shut(e->stream);
    }
    for (int turn = 0; turn < TURNS && e->stream->io.ready & IO_READABLE; turn++) {
        enum rc rc = stream_read(e->stream, room_of(r->shared), WS_READ_BYTES, &n);
        if (rc == RC_AGAIN)
            return rc;
        if (rc != RC_OK) {
            e->is_gone = true;
            return RC_END;
        }
    }
    return e->stream->io.ready & IO_READABLE ? RC_LIMIT : RC_AGAIN;
}

/* What there is to look at: what was left of the last time, and one read behind it. */
static enum rc next_bytes(struct ws_relay *r, struct ws_end *e, char **at, size_t *len)
{
    *at = room_of(r->shared);
    *len = buf_len(&e->rest);
    if (*len)
        memcpy(*at, buf_slice(&e->rest).at, *len);
    if (e->has_more) {
        e->has_more = false;
        buf_reset(&e->rest);
        return RC_OK;
    }
    size_t n;
    if (!(e->stream->io.ready & IO_READABLE))
        return RC_AGAIN;
    enum rc rc = stream_read(e->stream, *at + *len, WS_READ_BYTES, &n);
    if (rc != RC_OK)
        return rc;
    buf_reset(&e->rest);
    *len += n;
    e->bytes += n;
    e->heard_ms = r->now_ms;
    return RC_OK;
}

static enum rc pump(struct ws_relay *r, struct ws_end *from)
{
    struct ws_end *to = ws_end_other(r, from);
    r->asked = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        enum rc rc = to->is_gone ? RC_OK : ws_end_drain(r, to);
        if (buf_len(&to->later) && (ws_end_is_between(r, to) || to->is_torn))
            ws_end_put_later(r, to);
        if (from->is_deaf && !from->is_gone)
            return discard(r, from);
        if (rc != RC_OK)
            return rc;
        if (is_over(from))
            return RC_END;
        if (buf_len(&from->kept) > OWED_MAX)
            return RC_AGAIN;
        if (from->is_asked && !ws_scan_ask_again(r, from))
            return RC_AGAIN;
        char *at;
        size_t len;
        rc = next_bytes(r, from, &at, &len);
        if (rc == RC_AGAIN)
            return rc;
        if (rc != RC_OK) {
            ws_end_lose(r, from, rc == RC_EOF ? "its connection ended" : "its connection broke");
            continue;
        }
        ws_scan(r, from, at, len);
        if (r->asked >= WS_ASKED_MAX)
            return RC_LIMIT;
    }
    return RC_LIMIT;
}

/* It is read: what it says would be heard. */
static bool is_heard(struct ws_relay *r, const struct ws_end *e)
{
    return !is_over(e) && !e->is_asked && !buf_len(&ws_end_other(r, e)->kept) && buf_len(&e->kept) <= OWED_MAX;
}

static uint64_t last_news(const struct ws_end *e) { return e->heard_ms > e->pinged_ms ? e->heard_ms : e->pinged_ms; }

static void tend(struct ws_relay *r, struct ws_end *e)
{
    const struct ws_times *t = &r->rules->times;
    uint64_t now = r->now_ms;
    if (e->is_gone)
        return;
    if (t->write_ms && buf_len(&e->kept) && now - e->took_ms >= t->write_ms) {
        ws_end_lose(r, e, "it does not take what it gets");
        return;
    }
    bool is_silent = t->pong_ms && !buf_len(&e->later) && now - e->heard_ms >= t->pong_ms;
    bool is_ping_due = t->ping_ms && now - last_news(e) >= t->ping_ms;
    if ((!is_silent && !is_ping_due) || r->closing_ms || !is_heard(r, e))
        return;
    if (is_silent) {
        ws_end_lose(r, e, "it has said nothing for too long");
    } else {
        e->pinged_ms = now;
        e->is_pinged = true;
        struct ws_head ping = { .opcode = WS_PING, .fin = true };
        (void)ws_end_add_frame(r, e, ping, slice_make(ws_ping_body, WS_PING_BYTES));    /* full: it is given up soon */
    }
}

/* It knows that it is over, or cannot be told. */
static bool is_done(struct ws_relay *r, const struct ws_end *e)
{
    bool is_sent = !buf_len(&e->kept) && !buf_len(&e->later);
    if (e->is_gone || (e->is_torn && is_sent))
        return true;
    if (e->is_deaf)
        return is_sent && r->now_ms - r->closing_ms >= LINGER_MS;
    return e->has_closed && e->was_told && is_sent;
}

void ws_relay_begin(struct ws_relay *r, struct stream *client, struct stream *server, struct slice early_client,
                    struct slice early_server, uint64_t now_ms)
{
    struct slice early[2] = { [WS_CLIENT] = early_client, [WS_SERVER] = early_server };
    struct stream *streams[2] = { [WS_CLIENT] = client, [WS_SERVER] = server };
    for (int i = 0; i < 2; i++) {
        struct ws_end *e = &r->ends[i];
        e->stream = streams[i];
        e->kept.max = UINT32_MAX;       /* one read or one message, and the frames of ours that may wait */
        e->rest.max = UINT32_MAX;       /* what came early fits into the buffers of heads */
        e->heard_ms = e->took_ms = now_ms;
        e->has_more = early[i].len > 0;
        e->bytes = early[i].len;
        (void)buf_append(&e->rest, early[i]);
    }
    r->now_ms = r->moved_ms = now_ms;
}

enum rc ws_relay_run(struct ws_relay *r, uint64_t now_ms)
{
    struct ws_end *client = &r->ends[WS_CLIENT], *server = &r->ends[WS_SERVER];
    const struct ws_times *t = &r->rules->times;
    r->now_ms = now_ms;
    if (r->closing_ms && !r->is_closing)
        r->closing_ms = now_ms;         /* closed between two runs, the last of which may be long ago */
    enum rc one = pump(r, client), two = pump(r, server);
    if (t->idle_ms && !r->closing_ms && now_ms - r->moved_ms >= t->idle_ms)
        ws_relay_close(r, WS_CLOSE_GOING_AWAY, SLICE_OF("idle"), "idle");
    tend(r, client);
    tend(r, server);
    for (int i = 0; i < 2; i++)
        if (buf_len(&r->ends[i].later) && ws_end_is_between(r, &r->ends[i]))
            ws_end_put_later(r, &r->ends[i]);
    r->is_closing = r->closing_ms;
    if (is_done(r, client) && is_done(r, server))
        return client->is_torn || server->is_torn ? RC_RESET : RC_END;
    if (r->closing_ms && t->write_ms && now_ms - r->closing_ms >= t->write_ms)
        return RC_RESET;
    return one == RC_LIMIT || two == RC_LIMIT ? RC_LIMIT : RC_AGAIN;
}

static uint64_t sooner(uint64_t due, uint64_t since, uint32_t ms) { return ms && since + ms < due ? since + ms : due; }

uint64_t ws_relay_due(struct ws_relay *r)
{
    const struct ws_times *t = &r->rules->times;
    uint64_t due = UINT64_MAX;
    if (r->closing_ms)
        due = sooner(due, r->closing_ms, t->write_ms);
    else
        due = sooner(due, r->moved_ms, t->idle_ms);
    for (int i = 0; i < 2; i++) {
        const struct ws_end *e = &r->ends[i];
        if (e->is_gone)
            continue;
        if (buf_len(&e->kept))
            due = sooner(due, e->took_ms, t->write_ms);
        if (e->is_deaf && r->now_ms - r->closing_ms < LINGER_MS)
            due = sooner(due, r->closing_ms, LINGER_MS);
        if (!r->closing_ms && is_heard(r, e))
            due = sooner(sooner(due, e->heard_ms, buf_len(&e->later) ? 0 : t->pong_ms), last_news(e), t->ping_ms);
    }
    return due;
}

enum rc ws_relay_send(struct ws_relay *r, enum ws_side to, uint8_t opcode, struct slice data)
{
    struct ws_end *e = &r->ends[to];
    if (r->closing_ms || is_over(e) || e->was_told)
        return RC_END;
    if (buf_len(&e->kept) > OWED_MAX)
        return RC_LIMIT;
    return ws_end_add_frame(r, e, (struct ws_head){ .opcode = opcode, .fin = true }, data);
}

bool ws_relay_is_quiet(const struct ws_relay *r)
{
    for (int i = 0; i < 2; i++) {
        const struct ws_end *e = &r->ends[i];
        if (e->check.message_opcode || e->check.left || e->is_asked || buf_len(&e->kept))
            return false;
    }
    return true;
}

void ws_relay_free(struct ws_relay *r)
{
    for (int i = 0; i < 2; i++) {
        struct ws_end *e = &r->ends[i];
        buf_reset(&e->kept);
        buf_reset(&e->later);
        buf_reset(&e->rest);
        buf_reset(&e->whole);
    }
}
