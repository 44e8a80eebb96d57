#include "proxy/call.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    TURNS = 16,                 /* reads or writes in a row before others get their turn */
    PIECE = 64 * 1024,          /* of the request's body in one write */
    WINDOW = 64 * 1024,         /* bytes of a streamed body that are kept until they are asked for */
    INTERIMS_MAX = 16,          /* 1xx responses before an upstream is called broken */
};

enum call_step { CALL_PICK, CALL_CONNECT, CALL_SEND, CALL_HEAD, CALL_BODY };
enum next { NEXT_STEP, NEXT_WAIT, NEXT_TELL };

static enum next go(struct call *c, enum call_step step)
{
    c->step = (uint8_t)step;
    return NEXT_STEP;
}

static struct loop *loop_of(const struct call *c) { return c->plane->loop; }

static struct service *service_of(const struct call *c) { return c->service ? c->service : adhoc_service(); }

static void drop_up(struct call *c)
{
    if (c->up)
        up_close(c->up);
    c->up = NULL;
}

static void drop_second(struct call *c)
{
    if (!c->second)
        return;
    up_close(c->second);
    c->second = NULL;
    adhoc_drop_second(c->adhoc);
}

/* -- endings -- */

static enum next end(struct call *c, enum call_state state)
{
    drop_up(c);
    drop_second(c);
    if (c->ticket)
        ticket_drop(c->ticket);
    c->ticket = NULL;
    balancer_leave(&c->pick);
    if (c->adhoc)
        adhoc_drop(c->adhoc);
    c->adhoc = NULL;
    c->state = state;
    return NEXT_TELL;
}

__attribute__((format(printf, 3, 4))) static enum next fail(struct call *c, enum rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->why, sizeof c->why, format, args);
    va_end(args);
    c->rc = rc;
    return end(c, CALL_FAILED);
}

static enum next done(struct call *c)
{
    service_keep(service_of(c), c->node, c->plane->index, c->up);
    c->up = NULL;
    return end(c, CALL_DONE);
}

static enum next give_out(struct call *c)
{
    c->state = CALL_PAUSES;
    return NEXT_TELL;
}

/* -- reaching a node -- */

static enum next attempt(struct call *c, enum call_step step)
{
    c->attempt_due_ms = loop_of(c)->clock.now_ms + c->connect_ms;
    return go(c, step);
}

/* What a service of the configuration learns from this try. */
static void report(struct call *c, bool is_good, const char *why)
{
    if (!c->try_us)
        return;
    uint64_t us = clock_us() - c->try_us;
    c->try_us = 0;
    service_report(c->service, c->node, is_good, why, us, loop_of(c)->clock.now_ms);
}

static void on_up_wake(struct up *u)
{
    struct call *c = u->holder;
    loop_ready(loop_of(c), &c->wake);
}

static void hold(struct call *c, struct up *u)
{
    u->holder = c;
    u->on_wake = on_up_wake;
}

static void name_node(struct call *c)
{
    if (!c->host_given)                 /* the node may go before the call does */
        c->req.upstream_host = arena_copy(&c->req.arena, slice_text(c->node->host_port));
}

/* -- happy eyeballs, RFC 8305 section 5: the next address of a URL's name beside one that takes long. The first one is
 * always the older, and is late before the second. -- */

/* When another address may be tried beside the one in hand. */
static uint64_t race_due_ms(const struct call *c)
{
    bool may_race = c->adhoc && c->step == CALL_CONNECT && c->up && !c->second && adhoc_has_more(c->adhoc);
    return may_race ? c->second_ms + service_of(c)->settings.connect_delay_ms : DEADLINE_NEVER;
}

static void begin_second(struct call *c)
{
    struct ticket *none = NULL;         /* what a URL names is not counted: nobody waits for it */
    c->second_ms = loop_of(c)->clock.now_ms;
    c->second_node = adhoc_pick_second(c->adhoc);
    if (supply_take(&none, service_of(c), c->second_node, c->plane, &c->wake, c->fresh, &c->second) == RC_OK) {
        hold(c, c->second);
        return;
    }
    c->second = NULL;
    adhoc_blame(c->adhoc, c->second_node);
    adhoc_drop_second(c->adhoc);
}

static void take_second(struct call *c)
{
    drop_up(c);
    adhoc_take_second(c->adhoc);
    c->up = c->second;
    c->node = c->second_node;
    c->second = NULL;
    c->reused = c->up->requests > 0;
    c->attempt_due_ms = c->second_ms + c->connect_ms;
    name_node(c);
}

/* RC_OK: the second connection is open, and is the one in hand now. */
static enum rc race(struct call *c)
{
    if (race_due_ms(c) <= loop_of(c)->clock.now_ms)
        begin_second(c);
    if (!c->second)
        return RC_AGAIN;
    enum rc rc = c->second->requests > 0 ? RC_OK : up_check(c->second);
    if (rc == RC_OK) {
        if (up_is_unanswered(c->up))
            adhoc_blame(c->adhoc, c->node);
        take_second(c);
    } else if (rc != RC_AGAIN) {
        adhoc_blame(c->adhoc, c->second_node);
        drop_second(c);
        rc = RC_AGAIN;
    }
    return rc;
}

static bool may_try_again(const struct call *c)
{
    return c->service ? c->tries <= c->service->settings.retry.attempts : adhoc_has_more(c->adhoc);
}

static enum next connect_failed(struct call *c, enum rc rc)
{
    report(c, false, rc_word(rc));
    char why[128];
    snprintf(why, sizeof why, "%s", rc == RC_UPSTREAM_TLS && c->up && c->up->why ? c->up->why : "unknown reason");
    drop_up(c);
    if (c->second) {
        adhoc_blame(c->adhoc, c->node);
        take_second(c);
        return go(c, CALL_CONNECT);
    }
    if (may_try_again(c))
        return attempt(c, CALL_PICK);
    switch (rc) {
    case RC_CONNECT_TIMEOUT: return fail(c, rc, "timeout");
    case RC_REFUSED: return fail(c, rc, "refused");
    case RC_UPSTREAM_TLS: return fail(c, rc, "tls: %s", why);
    default: return fail(c, rc, "unreachable");
    }
}

static enum next step_pick(struct call *c)
{
    struct service *s = c->service;
    if (s) {
        c->node = balancer_pick(&c->pick, s, c->plane->index, loop_of(c)->clock.now_ms);
        if (!c->node)
            return fail(c, service_lacks(s), "%s", rc_word(service_lacks(s)));
        c->try_us = s->is_watched ? clock_us() : 0;
    } else {
        enum rc rc = adhoc_pick(c->adhoc, NULL, &c->node);
        if (rc == RC_AGAIN)
            return NEXT_WAIT;
        if (rc != RC_OK)
            return fail(c, rc, "%s%s", rc == RC_UPSTREAM_TLS ? "tls: " : "", adhoc_why(c->adhoc));
    }
    c->tries++;
    name_node(c);
    return go(c, CALL_CONNECT);
}

static enum next step_connect(struct call *c)
{
    struct service *s = service_of(c);
    if (!c->up) {
        struct up *u;
        bool waited = c->ticket;
        enum rc rc = supply_take(&c->ticket, s, c->node, c->plane, &c->wake, c->fresh, &u);
        if (rc == RC_AGAIN) {
            if (!waited)
                c->attempt_due_ms = loop_of(c)->clock.now_ms + s->settings.pool_queue_ms;
            return NEXT_WAIT;
        }
        if (rc == RC_NODE_FULL || rc == RC_FULL)
            return fail(c, rc, "%s", rc_word(rc));
        if (rc != RC_OK)
            return connect_failed(c, rc);
        if (waited)
            c->attempt_due_ms = loop_of(c)->clock.now_ms + c->connect_ms;
        c->reused = u->requests > 0;
        hold(c, u);
        c->up = u;
        c->second_ms = loop_of(c)->clock.now_ms;
        if (c->reused)
            return go(c, CALL_SEND);
    }
    enum rc rc = up_check(c->up);
    if (rc == RC_AGAIN)
        rc = race(c);
    else if (rc == RC_OK)
        drop_second(c);
    if (rc == RC_AGAIN)
        return NEXT_WAIT;
    return rc == RC_OK ? go(c, CALL_SEND) : connect_failed(c, rc);
}

/* -- the request -- */

static struct span next_piece(struct call *c, bool *last)
{
    size_t left = c->body.len - c->body_at, n = left < PIECE ? left : PIECE;
    struct span piece = { (char *)(uintptr_t)(n ? c->body.at + c->body_at : NULL), n, 0, 0 };
    c->body_at += n;
    *last = n == left;
    return piece;
}

static void note_sent(struct call *c, enum rc rc)
{
    if (rc != RC_OK && rc != RC_AGAIN)
        c->deaf = true;                 /* maybe an answer came before the close: look */
}

static enum next step_send(struct call *c)
{
    bool last;
    c->body_at = 0;
    c->deaf = false;
    struct span piece = next_piece(c, &last);
    note_sent(c, up_send_head(c->up, &c->req, piece, last));
    return go(c, CALL_HEAD);
}

static void pump(struct call *c)
{
    for (int turn = 0; turn < TURNS; turn++) {
        bool last;
        enum rc rc = up_flush(c->up);
        note_sent(c, rc);
        if (rc != RC_OK || c->deaf || c->up->request_done)
            return;
        struct span piece = next_piece(c, &last);
        note_sent(c, up_send_body(c->up, piece, last));
    }
    loop_ready(loop_of(c), &c->wake);
}

/* -- the response -- */

/* The connection ended before the head was there. */
static enum next died(struct call *c, enum rc rc)
{
    bool begun = c->up->got_bytes, may_repeat = service_took_nothing(c->up, rc);
    may_repeat |= !begun && retry_repeats(&service_of(c)->settings.retry, c->req.method);
    if (!c->reused)
        report(c, false, rc_word(rc));
    drop_up(c);
    if (may_repeat && c->reused) {      /* the connection was old, not the node bad */
        c->fresh = true;
        return attempt(c, CALL_CONNECT);
    }
    if (may_repeat && c->service && may_try_again(c))
        return attempt(c, CALL_PICK);
    if (begun)
        return fail(c, rc, "broken response: the connection ended within its head");
    return fail(c, rc, "closed before a response");
}

static enum next take_head(struct call *c)
{
    report(c, service_is_answer(c->res.status), status_reason(c->res.status).at);
    headers_own(&c->res.headers, &c->req.arena);
    if (c->up->body == BODY_SIZED && c->up->body_left > c->body_max)
        return fail(c, RC_LIMIT, "response body over %llu bytes", (unsigned long long)c->body_max);
    (void)go(c, CALL_BODY);
    return c->streams ? give_out(c) : NEXT_STEP;
}

static enum next step_head(struct call *c)
{
    pump(c);
    for (;;) {
        enum rc rc = up_read_head(c->up, &c->req, &c->res, false);
        if (rc == RC_AGAIN)
            return NEXT_WAIT;
        if (rc == RC_EOF || rc == RC_RESET)
            return died(c, rc);
        if (rc != RC_OK)
            return fail(c, rc, "broken response: its head is malformed, or over %d bytes or %d fields", UP_HEAD_BYTES,
                        UP_HEADERS);
        if (c->res.status >= 200)
            return take_head(c);
        if (c->res.status == 101 || ++c->interims > INTERIMS_MAX)
            return fail(c, RC_UPSTREAM_BAD, "broken response: %s",
                        c->res.status == 101 ? "it switches protocols unasked" : "too many interim responses");
    }
}

static enum next step_body(struct call *c)
{
    pump(c);
    for (int turn = 0; turn < TURNS; turn++) {
        struct span piece;
        bool last;
        enum rc rc = up_read_body(c->up, &piece, &last);
        if (rc == RC_AGAIN)
            return c->streams && buf_len(&c->in) ? give_out(c) : NEXT_WAIT;
        if (rc == RC_UPSTREAM_BAD)
            return fail(c, rc, "broken response: the chunks of its body are malformed");
        if (rc != RC_OK)
            return fail(c, rc, "broken response: the connection ended within its body");
        c->got += piece.len;
        if (c->got > c->body_max || buf_append(&c->in, slice_make(piece.at, piece.len)) != RC_OK)
            return fail(c, RC_LIMIT, "response body over %llu bytes", (unsigned long long)c->body_max);
        if (last)
            return done(c);
        if (c->streams && buf_len(&c->in) >= WINDOW)
            return give_out(c);
    }
    loop_ready(loop_of(c), &c->wake);
    return NEXT_WAIT;
}

/* -- the runner -- */

static enum next (*const steps[])(struct call *) = {
    [CALL_PICK] = step_pick,
    [CALL_CONNECT] = step_connect,
    [CALL_SEND] = step_send,
    [CALL_HEAD] = step_head,
    [CALL_BODY] = step_body,
};

static bool is_connecting(const struct call *c) { return c->step == CALL_PICK || c->step == CALL_CONNECT; }

static bool has_ended(const struct call *c) { return c->state == CALL_DONE || c->state == CALL_FAILED; }

static uint64_t next_due_ms(const struct call *c)
{
    uint64_t due_ms = c->due_ms, race_ms = race_due_ms(c);
    if (is_connecting(c) && c->attempt_due_ms < due_ms)
        due_ms = c->attempt_due_ms;
    return race_ms < due_ms ? race_ms : due_ms;
}

static void run_from(struct call *c, enum next next)
{
    while (next == NEXT_STEP)
        next = steps[c->step](c);
    if (c->up)
        up_settle(c->up);
    if (has_ended(c))
        deadline_remove(&loop_of(c)->deadlines, &c->timer);
    else
        loop_deadline(loop_of(c), &c->timer, next_due_ms(c));
    if (next == NEXT_TELL)
        c->tell(c);             /* c may be gone */
}

static void on_wake(struct task *t)
{
    struct call *c = LINK_OWNER(t, struct call, wake);
    if (c->state == CALL_RUNS)
        run_from(c, NEXT_STEP);
}

static void on_timer(struct deadline *d)
{
    struct call *c = LINK_OWNER(d, struct call, timer);
    uint64_t now_ms = loop_of(c)->clock.now_ms;
    bool is_early = c->due_ms > now_ms;
    if (is_early && race_due_ms(c) <= now_ms && c->attempt_due_ms > now_ms)
        run_from(c, NEXT_STEP);
    else if (is_connecting(c) && c->up && is_early)
        run_from(c, connect_failed(c, RC_CONNECT_TIMEOUT));
    else if (c->ticket && is_early)
        run_from(c, fail(c, RC_QUEUE_TIMEOUT, "%s", rc_word(RC_QUEUE_TIMEOUT)));
    else
        run_from(c, fail(c, is_connecting(c) ? RC_CONNECT_TIMEOUT : RC_ROUTE_TIMEOUT, "timeout"));
}

/* -- from outside -- */

void call_init(struct call *c, struct plane *p)
{
    memset(c, 0, sizeof *c);
    c->plane = p;
    c->wake.run = on_wake;
    c->timer.fire = on_timer;
    c->in.max = UINT32_MAX;
    arena_init(&c->req.arena, 4096);
}

void call_start(struct call *c)
{
    c->host_given = c->req.upstream_host.len;
    c->due_ms = loop_of(c)->clock.now_ms + c->timeout_ms;
    (void)attempt(c, CALL_PICK);
    loop_ready(loop_of(c), &c->wake);
}

void call_more(struct call *c)
{
    if (c->state != CALL_PAUSES)
        return;
    buf_reset(&c->in);
    c->state = CALL_RUNS;
    loop_ready(loop_of(c), &c->wake);
}

const char *call_phase(const struct call *c)
{
    switch ((enum call_step)c->step) {
    case CALL_PICK:
    case CALL_CONNECT: return "connect";
    case CALL_SEND:
    case CALL_HEAD: return c->body_at < c->body.len ? "send" : "response";
    case CALL_BODY: return "body";
    }
    return "";
}

void call_free(struct call *c)
{
    if (!has_ended(c))
        (void)end(c, CALL_FAILED);
    link_remove(&c->wake.in_ready);
    deadline_remove(&loop_of(c)->deadlines, &c->timer);
    service_leave(c->service, c->plane->index);
    buf_reset(&c->in);
    arena_free(&c->req.arena);
}
