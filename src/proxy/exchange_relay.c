/* The exchange's bodies: the request's upwards, the response's back. */
#include "base/log.h"
#include "http/h1_trailers.h"
#include "proxy/steps.h"

enum { REPLAY_MAX = 64 * 1024 };        /* request body kept for another try */

/* -- the request body -- */

static bool may_replay(const struct exchange *x)
{
    return x->reused || (x->retry->attempts && retry_repeats(x->retry, x->req.method));
}

/* From the client, or what was gathered of its body because a plugin wanted to see it whole. */
static enum rc source(struct exchange *x, struct span *out, bool *last)
{
    size_t held = buf_len(&x->gathered);
    if (x->gathered_at < held) {
        *out = (struct span){ x->gathered.at + x->gathered.start + x->gathered_at, held - x->gathered_at, 0, 0 };
        x->gathered_at = held;
        *last = x->source_ended;
        return RC_OK;
    }
    if (x->source_ended) {
        *out = (struct span){ 0 };
        *last = true;
        return RC_OK;
    }
    enum rc rc = x->req.ops->read_body(&x->req, out, last);
    if (rc == RC_OK) {
        touch(x, WAIT_BODY);
        x->source_ended = *last;
        if (*last && has(x, HOOK_REQUEST_BODY))
            x->req.trailers = SLICE_NONE;       /* sums and signatures of what the body was */
    }
    return rc;
}

enum rc exchange_request_body(struct exchange *x, struct span *out, bool *last)
{
    struct slice chunk = SLICE_NONE;
    x->body_flows = true;
    if (!has(x, HOOK_REQUEST_BODY))
        return source(x, out, last);
    if (!x->lines[LINE_REQUEST_BODY]) {
        enum rc rc = source(x, out, &x->chunk_is_last);
        if (rc != RC_OK)
            return rc;
        chunk = slice_make(out->at, out->len);
    }
    enum rc rc = x->plane->hooks->filter(x, HOOK_REQUEST_BODY, &chunk, x->chunk_is_last);
    if (rc != RC_OK)
        return rc;
    *out = (struct span){ (char *)(uintptr_t)chunk.at, chunk.len, 0, 0 };
    *last = x->chunk_is_last;
    return RC_OK;
}

enum rc exchange_next_body(struct exchange *x, struct span *out, bool *last)
{
    if (x->replay_at < buf_len(&x->replay)) {
        struct slice s = slice_from(buf_slice(&x->replay), x->replay_at);
        *out = (struct span){ (char *)(uintptr_t)s.at, s.len, 0, 0 };
        *last = x->body_ended;
        x->replay_at += s.len;
        return RC_OK;
    }
    if (x->body_ended) {
        *out = (struct span){ 0 };
        *last = true;
        return RC_OK;
    }
    enum rc rc = exchange_request_body(x, out, last);
    if (rc != RC_OK)
        return rc;
    x->body_ended = *last;
    if (*last)
        x->try_since_ms = loop_of(x)->clock.now_ms;
    if (!x->body_lost && out->len) {
        x->replay.max = REPLAY_MAX;
        if (!may_replay(x) || buf_append(&x->replay, slice_make(out->at, out->len)) != RC_OK) {
            x->body_lost = true;
            buf_reset(&x->replay);
            x->replay_at = 0;
        } else {
            x->replay_at = buf_len(&x->replay);
        }
    }
    return RC_OK;
}

enum rc exchange_pump_up(struct exchange *x)
{
    struct up *u = x->up;
    for (int turn = 0; turn < TURNS; turn++) {
        enum rc rc = up_flush(u);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_UP_WRITE);
            return RC_OK;
        }
        if (rc != RC_OK)
            x->up_deaf = true;
        if (u->request_done || x->up_deaf)
            return RC_OK;
        struct span body;
        bool last;
        rc = exchange_next_body(x, &body, &last);
        if (rc == RC_AGAIN) {
            if (!x->lines[LINE_REQUEST_BODY])
                wait_for(x, WAIT_BODY);
            return RC_OK;
        }
        if (rc != RC_OK)
            return rc;
        rc = up_send_body(u, body, last);
        touch(x, WAIT_UP_WRITE);
        if (rc != RC_OK && rc != RC_AGAIN)
            x->up_deaf = true;
    }
    loop_ready(loop_of(x), &x->wake);
    return RC_OK;
}

/* -- the response body -- */

enum rc exchange_response_body(struct exchange *x, struct span *out, bool *last)
{
    enum rc rc = RC_OK;
    if (x->gathered_back) {
        struct slice all = buf_slice(&x->gathered_response);
        x->gathered_back = false;
        *out = (struct span){ (char *)(uintptr_t)all.at, all.len, 0, 0 };
        *last = x->up->response_done;
    } else {
        rc = up_read_body(x->up, out, last);
    }
    if (buf_len(&x->up->trailers) && x->up->response_done && !x->filters)
        x->res.trailers = h1_trailers_pick(buf_slice(&x->up->trailers), &x->res.headers, &x->req.arena);
    return rc;
}

void exchange_drop_body(struct exchange *x)
{
    struct up *u = x->up;
    if (u->response_done)
        return;
    u->keep = false;
    u->response_done = true;
    u->input.ahead = (struct span){ 0 };
}

enum rc exchange_send_down(struct exchange *x, struct span body, bool last)
{
    if (x->filters) {
        struct slice chunk = slice_make(body.at, body.len);
        if (!x->down_held)
            x->chunk_back_is_last = last;
        x->down_held = true;
        enum rc rc = x->plane->hooks->filter(x, HOOK_RESPONSE_BODY, &chunk, x->chunk_back_is_last);
        if (rc != RC_OK)
            return rc;
        x->down_held = false;
        last = x->chunk_back_is_last;
        if (chunk.at != body.at || chunk.len != body.len)
            body = (struct span){ (char *)(uintptr_t)chunk.at, chunk.len, 0, 0 };
    }
    touch(x, WAIT_CLIENT_WRITE);
    x->req.bytes_out += body.len;
    x->down_ended = last;
    enum rc rc = x->req.ops->send_body(&x->req, body, last);
    return rc == RC_OK || rc == RC_AGAIN ? RC_OK : RC_CLIENT_GONE;
}

/* -- large plain bodies: from socket to socket inside the kernel -- */

bool exchange_may_splice(const struct exchange *x)
{
    return !x->filters && !has(x, HOOK_RESPONSE_BODY) && !x->req.is_tls && stream_is_plain(&x->up->stream);
}

static bool will_splice(const struct exchange *x)
{
    const struct up *u = x->up;
    return u->body == BODY_SIZED && !u->response_done && u->body_left >= UP_LARGE && !up_has_bytes(u) &&
           !x->gathered_back && exchange_may_splice(x);
}

struct stream *exchange_hold_head(struct exchange *x)
{
    struct stream *client = NULL;
    if (will_splice(x) && (x->up->stream.io.ready & IO_READABLE))
        client = x->req.ops->raw(&x->req);
    if (client)
        client->io.more = x->holds_head = true;
    return client;
}

static void push_head(struct exchange *x, struct stream *client)
{
    if (x->holds_head && client)
        stream_push(client);
    x->holds_head = false;
}

static bool try_splice(struct exchange *x, struct stream **client)
{
    if (!x->splices && !will_splice(x))
        return false;
    *client = x->req.ops->raw(&x->req);
    if (!x->splicing)
        x->splices = x->splicing = *client && pipe_take(&x->plane->pipes, &x->pipe) == RC_OK;
    if (!x->splices)
        push_head(x, *client);
    return x->splices;
}

/* Only one that holds bytes is kept while the exchange waits. */
static void give_pipe(struct exchange *x)
{
    pipe_give(&x->plane->pipes, &x->pipe);
    x->splicing = false;
}

static enum next relay_spliced(struct exchange *x, struct stream *client)
{
    uint64_t moved = 0, before = x->up->body_left;
    enum rc rc = pipe_move(&x->pipe, &x->up->stream, client, &x->up->body_left, &moved);
    x->req.bytes_out += moved;
    if (moved) {
        touch(x, WAIT_CLIENT_WRITE);
        x->holds_head = false;          /* it went with them */
    }
    if (x->up->body_left < before)
        touch(x, WAIT_UP_READ);
    if (!x->up->body_left)
        exchange_leave_service(x);
    if (!x->pipe.held)
        give_pipe(x);
    if (rc == RC_OK) {
        x->up->response_done = true;
        return go(x, STEP_FLUSH);
    }
    if (rc == RC_AGAIN) {
        bool holds = x->splicing;
        push_head(x, client);
        wait_for(x, holds ? WAIT_CLIENT_WRITE : WAIT_UP_READ);
        if ((client->io.ready & IO_WRITABLE) && (holds || (x->up->stream.io.ready & IO_READABLE)))
            loop_ready(loop_of(x), &x->wake);
        return NEXT_WAIT;
    }
    return exchange_fail(x, rc == RC_CLIENT_GONE ? rc : RC_RESET);
}

enum next step_relay(struct exchange *x)
{
    enum rc rc = exchange_pump_up(x);
    if (rc != RC_OK)
        return exchange_fail(x, rc);
    for (int turn = 0; turn < TURNS; turn++) {
        struct stream *client;
        struct span body;
        bool last = false;
        rc = x->req.ops->flush(&x->req);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_CLIENT_WRITE);
            return NEXT_WAIT;
        }
        if (rc != RC_OK)
            return exchange_fail(x, RC_CLIENT_GONE);
        if (try_splice(x, &client))
            return relay_spliced(x, client);
        body = (struct span){ 0 };
        rc = x->down_held ? RC_OK : exchange_response_body(x, &body, &last);
        if (rc == RC_AGAIN) {
            wait_for(x, WAIT_UP_READ);
            return NEXT_WAIT;
        }
        if (rc != RC_OK) {
            exchange_note_cut(x);
            return exchange_fail(x, rc);
        }
        touch(x, WAIT_UP_READ);
        if (x->up->response_done)
            exchange_leave_service(x);
        rc = exchange_send_down(x, body, last);
        if (rc == RC_AGAIN)
            return NEXT_WAIT;
        if (rc != RC_OK)
            return exchange_fail(x, rc);
        if (x->down_ended)
            return go(x, STEP_FLUSH);
    }
    loop_ready(loop_of(x), &x->wake);
    return NEXT_WAIT;
}
