#include "http/ws_scan.h"

#include "http/ws_end.h"

/* What one read gave: start .. at was looked at and goes on as it is. */
struct scan {
    struct ws_relay *r;
    struct ws_end *from, *to;
    char *start, *at, *end;
    char *frame;                        /* where the frame in hand begins; NULL: it began in an earlier read */
};

static void pass(struct scan *s)
{
    if (ws_end_takes_more(s->to))
        ws_end_put(s->r, s->to, slice_make(s->start, (size_t)(s->at - s->start)));
    s->start = s->at;
}

/* The frame in hand, as far as it is here, and what comes behind it stays with us. */
static enum rc stop_at_frame(struct scan *s, unsigned code, const char *why)
{
    bool is_begun = !s->frame && !s->r->rules->sees_messages;
    s->at = s->frame && s->frame > s->start ? s->frame : s->start;
    pass(s);
    s->to->is_torn |= is_begun && ws_end_takes_more(s->to);
    s->from->check.left = 0;
    ws_end_refuse(s->r, s->from, code, why);
    return RC_END;
}

static enum rc stash(struct scan *s, bool has_more)
{
    pass(s);
    s->from->rest.max = WS_REST_MAX;
    s->from->has_more = has_more && s->end > s->at;
    (void)buf_append(&s->from->rest, slice_make(s->at, (size_t)(s->end - s->at)));      /* less than one read */
    return RC_AGAIN;
}

/* -- whole messages -- */

/* Who has got a close frame gets no more messages. */
static enum rc consult(struct scan *s, struct ws_message *m)
{
    if (s->to->was_told) {
        m->verdict = WS_DROP;
        return RC_OK;
    }
    s->r->asked++;
    return s->r->events->message(s->r, (enum ws_side)(s->from - s->r->ends), m);
}

static void settle(struct scan *s, const struct ws_message *m)
{
    struct ws_head h = { .opcode = m->opcode, .fin = true };
    if (s->to->was_told || m->verdict == WS_DROP)
        return;
    if (m->verdict == WS_PASS ? m->is_compressed : m->changed_is_compressed)
        h.rsv = WS_RSV1;
    if (ws_end_add_frame(s->r, s->to, h, m->verdict == WS_PASS ? m->data : m->changed) != RC_OK)
        ws_end_lose(s->r, s->to, "it does not take what it gets");
}

/* Asks about the message in from->whole. RC_AGAIN: he who looks at it takes his time. */
static enum rc ask(struct scan *s)
{
    struct ws_end *from = s->from;
    struct ws_message m = { from->opcode, from->is_compressed, buf_slice(&from->whole), WS_PASS, SLICE_NONE, false };
    enum rc rc = consult(s, &m);
    from->is_asked = rc == RC_AGAIN;
    if (rc == RC_AGAIN)
        return rc;
    settle(s, &m);
    buf_reset(&from->whole);
    ws_end_put_later(s->r, s->to);
    return RC_OK;
}

static void count_message(struct scan *s)
{
    s->from->messages++;
    s->r->moved_ms = s->r->now_ms;
}

/* A message in one frame that is here as a whole: where nothing about it is changed, it need not be copied. */
static enum rc take_at_once(struct scan *s, const struct ws_head *h)
{
    struct ws_end *from = s->from;
    char *body = s->at + h->size;
    const char *why;
    unsigned code = ws_check_payload(&from->check, slice_make(body, h->len), &why);
    if (code)
        return stop_at_frame(s, code, why);
    if (h->masked)
        ws_mask(body, h->len, h->mask, 0);
    struct ws_message m = { h->opcode, h->rsv == WS_RSV1, slice_make(body, h->len), WS_PASS, SLICE_NONE, false };
    count_message(s);
    enum rc rc = consult(s, &m);
    if (rc == RC_OK && m.verdict == WS_PASS && !s->to->was_told) {
        if (buf_len(&s->to->later)) {   /* what was sent meanwhile goes before it */
            pass(s);
            ws_end_put_later(s->r, s->to);
        }
        if (h->masked)
            ws_mask(body, h->len, h->mask, 0);
        s->at = body + h->len;
        return RC_OK;
    }
    pass(s);
    s->start = s->at = body + h->len;
    if (rc == RC_AGAIN) {
        from->opcode = m.opcode;
        from->is_compressed = m.is_compressed;
        from->is_asked = true;
        from->whole.max = UINT32_MAX;
        (void)buf_append(&from->whole, m.data);         /* without a bound that is below it */
        return stash(s, true);
    }
    settle(s, &m);
    ws_end_put_later(s->r, s->to);
    return RC_OK;
}

/* The next bytes of a message that comes in pieces: its payload, or the end of it. */
static enum rc gather(struct scan *s, const char *payload, size_t n)
{
    struct ws_end *from = s->from;
    char *to = buf_room(&from->whole, n);
    if (!to)
        return stop_at_frame(s, WS_CLOSE_TOO_BIG, "message too big");   /* ws_check has seen to that: cannot be */
    memcpy(to, payload, n);
    ws_mask(to, n, from->check.mask, from->phase);
    buf_added(&from->whole, n);
    from->phase = (uint8_t)((from->phase + n) & 3);
    return RC_OK;
}

/* -- frames -- */

static bool is_our_pong(const struct scan *s, const struct ws_head *h)
{
    char body[WS_PING_BYTES];
    if (h->opcode != WS_PONG || h->len != sizeof body)
        return false;
    memcpy(body, s->at + h->size, sizeof body);
    if (h->masked)
        ws_mask(body, sizeof body, h->mask, 0);
    return memcmp(body, ws_ping_body, sizeof body) == 0;
}

/* It is all here. Close frames go on as they are: so one end's close is the other's. */
static enum rc take_control(struct scan *s, const struct ws_head *h)
{
    struct ws_end *from = s->from;
    const char *why;
    bool is_ours = from->is_pinged && is_our_pong(s, h);
    unsigned code = ws_check_payload(&from->check, slice_make(s->at + h->size, h->len), &why);
    if (code)
        return stop_at_frame(s, code, why);
    if (is_ours || h->opcode == WS_CLOSE)
        pass(s);
    if (h->opcode == WS_CLOSE)
        ws_end_put_later(s->r, s->to);  /* nothing may follow it */
    s->at += h->size + h->len;
    if (is_ours) {
        s->start = s->at;
        from->is_pinged = false;
    }
    if (h->opcode != WS_CLOSE)
        return RC_OK;
    pass(s);
    from->has_closed = s->to->was_told = true;
    ws_end_begin_end(s->r, from->check.close_code, from, NULL);
    return RC_END;
}

/* RC_AGAIN: more of it is needed. */
static enum rc read_head(struct scan *s, struct ws_head *h)
{
    struct ws_end *from = s->from;
    const char *why = "length in more bytes than it needs";
    size_t here = (size_t)(s->end - s->at);
    enum rc rc = ws_head_parse(slice_make(s->at, here), h);
    if (rc == RC_AGAIN)
        return stash(s, false);
    if (rc != RC_OK)
        return stop_at_frame(s, WS_CLOSE_PROTOCOL, why);
    if (ws_opcode_is_control(h->opcode) && h->len <= WS_CONTROL_MAX && here - h->size < h->len)
        return stash(s, false);
    struct ws_rules rules = { s->r->rules->max_message, !ws_end_is_server(s->r, from), s->r->rules->deflate };
    unsigned code = ws_check_head(&from->check, &rules, h, &why);
    return code ? stop_at_frame(s, code, why) : RC_OK;
}

/* The head of a data frame. */
static void begin_data(struct scan *s, const struct ws_head *h)
{
    struct ws_end *from = s->from;
    if (s->r->rules->sees_messages) {
        pass(s);
        s->start += h->size;
        from->phase = 0;
        from->whole.max = UINT32_MAX;
        if (h->opcode != WS_CONTINUATION) {
            from->opcode = h->opcode;
            from->is_compressed = h->rsv == WS_RSV1;
        }
    }
    s->at += h->size;
}

/* The payload of a data frame, as far as it is here. */
static enum rc take_payload(struct scan *s)
{
    struct ws_end *from = s->from;
    const char *why;
    size_t here = (size_t)(s->end - s->at), n = from->check.left < here ? (size_t)from->check.left : here;
    if (!n)
        return RC_OK;
    unsigned code = ws_check_payload(&from->check, slice_make(s->at, n), &why);
    if (code)
        return stop_at_frame(s, code, why);
    s->r->moved_ms = s->r->now_ms;
    enum rc rc = s->r->rules->sees_messages ? gather(s, s->at, n) : RC_OK;
    s->at += n;
    if (s->r->rules->sees_messages)
        s->start = s->at;
    return rc;
}

/* A data frame has ended. */
static enum rc end_data(struct scan *s)
{
    if (s->from->check.fin)
        count_message(s);
    if (s->r->rules->sees_messages && s->from->check.fin) {
        enum rc rc = ask(s);
        return rc == RC_AGAIN ? stash(s, true) : rc;
    }
    if (buf_len(&s->to->later)) {
        pass(s);
        ws_end_put_later(s->r, s->to);
    }
    return RC_OK;
}

static enum rc take_frame(struct scan *s)
{
    struct ws_end *from = s->from;
    if (!from->check.left) {
        struct ws_head h;
        enum rc rc = read_head(s, &h);
        if (rc != RC_OK)
            return rc;
        if (ws_opcode_is_control(h.opcode))
            return take_control(s, &h);
        if (s->r->rules->sees_messages && h.fin && h.opcode != WS_CONTINUATION &&
            (size_t)(s->end - s->at) - h.size >= h.len)
            return take_at_once(s, &h);
        begin_data(s, &h);
    }
    enum rc rc = take_payload(s);
    return rc != RC_OK || from->check.left ? rc : end_data(s);
}

/* RC_OK: all of it went on. RC_AGAIN: what is left is kept. RC_END: nothing more from this end. */
static enum rc run(struct scan *s)
{
    while (s->at < s->end) {
        s->frame = s->from->check.left ? NULL : s->at;
        enum rc rc = take_frame(s);
        if (rc != RC_OK)
            return rc;
        if (s->r->asked >= WS_ASKED_MAX && s->at < s->end)
            return stash(s, true);
    }
    pass(s);
    return RC_OK;
}

void ws_scan(struct ws_relay *r, struct ws_end *from, char *at, size_t len)
{
    struct scan s = { r, from, ws_end_other(r, from), at, at, at + len, NULL };
    (void)run(&s);                      /* what it has come to stands in the ends */
}

bool ws_scan_ask_again(struct ws_relay *r, struct ws_end *from)
{
    struct scan s = { .r = r, .from = from, .to = ws_end_other(r, from) };
    from->heard_ms = r->now_ms;
    return ask(&s) != RC_AGAIN;
}
