/* The relay of WebSockets between two ends that send anything, take little, end early, and with somebody who looks at
 * messages, takes his time, changes and drops some. The input is a script of what happens. Whatever it is: each end
 * gets frames that may be sent, those that the other end sent, in their order, and the relay comes to its end. */
#include "fuzz.h"
#include "http/ws_relay.h"

static const char ping_body[] = "tidegate", changed[] = "changed", sent[] = "sent";

struct frame {
    struct frame *next;
    uint8_t opcode, rsv;
    bool fin;
    size_t len;
    char data[];
};

struct frames { struct frame *first, **end; };

static void frames_begin(struct frames *l) { *l = (struct frames){ .end = &l->first }; }

static struct frame *frames_add(struct frames *l, uint8_t opcode, uint8_t rsv, bool fin, struct slice data)
{
    struct frame *f = malloc(sizeof *f + data.len);
    *f = (struct frame){ .opcode = opcode, .rsv = rsv, .fin = fin, .len = data.len };
    if (data.len)
        memcpy(f->data, data.at, data.len);
    *l->end = f;
    l->end = &f->next;
    return f;
}

static void frames_free(struct frames *l)
{
    for (struct frame *f = l->first, *next; f; f = next) {
        next = f->next;
        free(f);
    }
}

/* One end: what it will send, what it was sent, and how much it takes. */
struct end {
    struct stream stream;
    struct buf in, all_in, out;
    size_t budget;
    bool ended, is_reset, shut;
    struct frames due;            /* what it should get of whole messages, where somebody looks at them */
    struct frames seen;           /* messages from it that he looked at */
};

static struct script {
    const uint8_t *at, *end;
    struct end ends[2];
    struct ws_relay relay;
    struct ws_relay_rules rules;
    struct ws_shared shared;
    uint64_t now_ms;
    bool is_asked[2];
} s;

static uint8_t next_byte(void) { return s.at < s.end ? *s.at++ : 0; }

static struct end *end_of(struct stream *stream) { return &s.ends[stream == &s.ends[1].stream]; }

/* -- the streams -- */

static enum rc end_read(struct stream *stream, char *at, size_t size, size_t *n)
{
    struct end *e = end_of(stream);
    if (e->is_reset)
        return RC_RESET;
    size_t len = buf_len(&e->in);
    if (!len && e->ended)
        return RC_EOF;
    *n = len < size ? len : size;
    if (*n) {
        memcpy(at, e->in.at + e->in.start, *n);
        buf_consume(&e->in, *n);
    }
    if (*n == len && !e->ended)
        stream->io.ready &= (uint8_t)~IO_READABLE;
    return *n ? RC_OK : RC_AGAIN;
}

static enum rc end_write(struct stream *stream, struct slice bytes, size_t *n)
{
    struct end *e = end_of(stream);
    *n = 0;
    assert(!e->shut);
    if (e->is_reset)
        return RC_RESET;
    bytes.len = bytes.len < e->budget ? bytes.len : e->budget;
    e->budget -= bytes.len;
    *n = bytes.len;
    if (!e->budget)
        stream->io.ready &= (uint8_t)~IO_WRITABLE;
    enum rc rc = buf_append(&e->out, bytes);
    assert(rc == RC_OK);
    return *n ? RC_OK : RC_AGAIN;
}

static enum rc end_handshake(struct stream *stream) { return stream ? RC_OK : RC_RESET; }
static void end_shut(struct stream *stream) { end_of(stream)->shut = true; }
static void end_close(struct stream *stream) { stream->io.fd = -1; }
static const struct stream_ops end_ops = { end_read, end_write, end_handshake, end_shut, end_close, end_close };

/* -- who looks at messages -- */

static enum rc on_message(struct ws_relay *r, enum ws_side from, struct ws_message *m)
{
    struct frames *due = &s.ends[!from].due;
    assert(r == &s.relay && (m->opcode == WS_TEXT || m->opcode == WS_BINARY));
    if (!s.is_asked[from])
        (void)frames_add(&s.ends[from].seen, m->opcode, m->is_compressed ? WS_RSV1 : 0, true, m->data);
    s.is_asked[from] = false;
    switch (s.at < s.end ? *s.at++ & 7 : 7) {
    case 0:
        s.is_asked[from] = true;
        return RC_AGAIN;
    case 1:
        m->verdict = WS_DROP;
        return RC_OK;
    case 2:
        m->verdict = WS_CHANGE;
        m->opcode = WS_TEXT;
        m->changed = slice_text(changed);
        m->changed_is_compressed = m->is_compressed;
        (void)frames_add(due, WS_TEXT, m->is_compressed ? WS_RSV1 : 0, true, m->changed);
        return RC_OK;
    case 3: ws_relay_close(r, WS_CLOSE_POLICY, SLICE_OF("policy"), "policy"); /* fall through */
    default:
        m->verdict = WS_PASS;
        (void)frames_add(due, m->opcode, m->is_compressed ? WS_RSV1 : 0, true, m->data);
        return RC_OK;
    }
}

/* -- what happens -- */

static void feed(struct end *e, struct slice bytes)
{
    if (e->ended || e->is_reset)
        return;
    (void)buf_append(&e->in, bytes);
    (void)buf_append(&e->all_in, bytes);
    e->stream.io.ready |= IO_READABLE;
}

static void feed_frame(struct end *e, bool is_client)
{
    static const uint8_t opcodes[] = { 0, 1, 2, 8, 9, 10, 0, 1, 1, 2, 9, 10, 0, 0, 1, 3 };
    uint8_t kind = next_byte(), len = next_byte();
    char bytes[WS_HEAD_MAX + 600];
    struct ws_head h = { .opcode = opcodes[kind & 15], .fin = !(kind & 16), .rsv = kind & 32 ? WS_RSV1 : 0,
                         .masked = is_client, .mask = { 1, 2, 3, len }, .len = kind & 64 ? 2u * len : len & 31 };
    if (!h.masked)
        memset(h.mask, 0, sizeof h.mask);
    size_t size = ws_head_write(bytes, &h);
    for (size_t i = 0; i < h.len; i++)
        bytes[size + i] = kind & 128 ? (char)next_byte() : (char)('a' + i % 26);
    if (h.opcode == WS_CLOSE && h.len > 1)
        memcpy(bytes + size, "\x03\xe8", 2);
    if (h.opcode == WS_PONG && h.len == 8)
        memcpy(bytes + size, ping_body, 8);
    ws_mask(bytes + size, h.len, h.mask, 0);
    feed(e, slice_make(bytes, size + h.len));
}

static void take_more(struct end *e, size_t n)
{
    e->budget += n;
    if (e->budget)
        e->stream.io.ready |= IO_WRITABLE;
}

static void finish(struct end *e, bool is_reset)
{
    e->ended = true;
    e->is_reset |= is_reset;
    e->stream.io.ready |= is_reset ? IO_READABLE | IO_WRITABLE : IO_READABLE;
}

static void happen(void)
{
    uint8_t what = next_byte();
    enum ws_side side = what & 1;
    struct end *e = &s.ends[side];
    uint8_t n = next_byte();
    switch (what >> 1 & 7) {
    case 0:
        n = n < s.end - s.at ? n : (uint8_t)(s.end - s.at);
        feed(e, slice_make((const char *)s.at, n));
        s.at += n;
        return;
    case 1:
    case 2:
    case 3: feed_frame(e, side == WS_CLIENT); return;
    case 4: take_more(e, n & 128 ? 1000 : n); return;
    case 5: s.now_ms += (uint64_t)n * (what & 128 ? 100 : 1); return;
    case 6:
        if (s.rules.sees_messages && ws_relay_send(&s.relay, side, WS_TEXT, slice_text(sent)) == RC_OK)
            (void)frames_add(&e->due, WS_TEXT, 0, true, slice_text(sent));
        return;
    default:
        if (n < 8)
            ws_relay_close(&s.relay, WS_CLOSE_RESTART, SLICE_OF("reload"), "reload");
        else if (n < 40)
            finish(e, n & 1);
    }
}

static bool is_over(enum rc rc) { return rc == RC_END || rc == RC_RESET; }

static enum rc run_relay(void)
{
    enum rc rc;
    unsigned runs = 0;
    do
        rc = ws_relay_run(&s.relay, s.now_ms);
    while (rc == RC_LIMIT && ++runs < 10000);
    assert(rc == RC_AGAIN || is_over(rc));
    assert(rc != RC_AGAIN || ws_relay_due(&s.relay) > s.now_ms || s.is_asked[0] || s.is_asked[1]);
    return rc;
}

/* -- what has to hold -- */

/* The frames that bytes are, up to what may not be sent, or the close frame; each as it was meant. */
static void read_frames(struct slice bytes, const struct ws_rules *rules, struct frames *frames,
                        struct frames *messages, bool is_ours)
{
    struct ws_check c = { 0 };
    struct buf whole;
    buf_init(&whole, UINT32_MAX);
    uint8_t opcode = 0, rsv = 0;
    const char *why;
    struct ws_head h;
    while (!c.close_code) {
        enum rc rc = ws_head_parse(bytes, &h);
        assert(!is_ours || rc != RC_MALFORMED);
        if (rc != RC_OK)
            break;
        unsigned code = ws_check_head(&c, rules, &h, &why);
        assert(!is_ours || !code);
        bytes = slice_from(bytes, h.size);
        struct slice payload = slice_make(bytes.at, h.len < bytes.len ? (size_t)h.len : bytes.len);
        code = code ? code : ws_check_payload(&c, payload, &why);
        assert(!is_ours || !code || payload.len < h.len);
        if (code || c.left)
            break;
        struct frame *f = frames_add(frames, h.opcode, h.rsv, h.fin, payload);
        ws_mask(f->data, f->len, h.mask, 0);
        bytes = slice_from(bytes, payload.len);
        if (ws_opcode_is_control(h.opcode))
            continue;
        opcode = h.opcode ? h.opcode : opcode;
        rsv = h.opcode ? h.rsv : rsv;
        (void)buf_append(&whole, slice_make(f->data, f->len));
        if (h.fin) {
            (void)frames_add(messages, opcode, rsv, true, buf_slice(&whole));
            buf_reset(&whole);
        }
    }
    assert(!is_ours || !c.close_code || c.left || !bytes.len);
    buf_reset(&whole);
}

static bool is_same(const struct frame *a, const struct frame *b)
{
    return a->opcode == b->opcode && a->rsv == b->rsv && a->fin == b->fin && a->len == b->len &&
           memcmp(a->data, b->data, a->len) == 0;
}

static bool is_own(const struct frame *f)
{
    return (f->opcode == WS_PING || f->opcode == WS_PONG) && f->len == 8 && memcmp(f->data, ping_body, 8) == 0;
}

enum kind { ALL, CONTROL, DATA };

static const struct frame *skip(const struct frame *f, enum kind kind)
{
    while (f && (is_own(f) || (kind != ALL && ws_opcode_is_control(f->opcode) != (kind == CONTROL))))
        f = f->next;
    return f;
}

/* What was got are the first of those that were due; the relay may have put its close frame in place of the next. */
static void check_begins(const struct frame *got, const struct frame *due, enum kind kind)
{
    for (got = skip(got, kind), due = skip(due, kind); got; got = skip(got->next, kind), due = skip(due->next, kind)) {
        if (got->opcode == WS_CLOSE && !(due && is_same(got, due)))
            return;
        assert(due && is_same(got, due));
    }
}

static void check_direction(enum ws_side from)
{
    struct end *a = &s.ends[from], *b = &s.ends[!from];
    struct ws_rules in = { s.rules.max_message, from == WS_CLIENT, s.rules.deflate };
    struct ws_rules out = { 0, from == WS_CLIENT, s.rules.deflate };
    struct frames went, messages, came, came_messages;
    frames_begin(&went);
    frames_begin(&messages);
    frames_begin(&came);
    frames_begin(&came_messages);
    read_frames(buf_slice(&a->all_in), &in, &went, &messages, false);
    read_frames(buf_slice(&b->out), &out, &came, &came_messages, true);
    if (s.rules.sees_messages) {
        check_begins(a->seen.first, messages.first, DATA);
        check_begins(came.first, b->due.first, DATA);
        check_begins(came.first, went.first, CONTROL);
    } else {
        check_begins(came.first, went.first, ALL);
    }
    frames_free(&went);
    frames_free(&messages);
    frames_free(&came);
    frames_free(&came_messages);
}

static void begin(uint8_t how)
{
    static const struct ws_events events = { on_message };
    static const struct ws_times slow = { 0 };
    static const struct ws_times quick = { .ping_ms = 300, .pong_ms = 1000, .write_ms = 500, .idle_ms = 5000 };
    s.rules = (struct ws_relay_rules){
        .times = how & 1 ? quick : slow, .max_message = how & 2 ? 1000 : 100000, .deflate = how & 4,
        .sees_messages = how & 8,
    };
    s.relay = (struct ws_relay){ .rules = &s.rules, .events = &events, .shared = &s.shared };
    for (int i = 0; i < 2; i++) {
        struct end *e = &s.ends[i];
        *e = (struct end){ .stream = { .io = { .fd = 1, .ready = IO_WRITABLE }, .ops = &end_ops }, .budget = 1 << 16 };
        buf_init(&e->in, UINT32_MAX);
        buf_init(&e->all_in, UINT32_MAX);
        buf_init(&e->out, UINT32_MAX);
        frames_begin(&e->due);
        frames_begin(&e->seen);
        if (how & 16)
            e->budget = 50;
    }
    s.now_ms = 1000;
    s.is_asked[0] = s.is_asked[1] = false;
    ws_relay_begin(&s.relay, &s.ends[0].stream, &s.ends[1].stream, SLICE_NONE, SLICE_NONE, s.now_ms);
}

/* Both ends are gone, and all time has passed: there is nothing more to wait for. */
static void check_ends(enum rc rc)
{
    for (int turn = 0; turn < 20 && !is_over(rc); turn++) {
        for (int i = 0; i < 2; i++) {
            take_more(&s.ends[i], 1 << 20);
            finish(&s.ends[i], false);
        }
        s.now_ms += 100000;
        rc = run_relay();
    }
    assert(is_over(rc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    s.at = data + 1;
    s.end = data + size;
    begin(data[0]);
    enum rc rc = RC_AGAIN;
    while (s.at < s.end && !is_over(rc)) {
        happen();
        rc = run_relay();
    }
    check_direction(WS_CLIENT);
    check_direction(WS_SERVER);
    check_ends(rc);
    check_direction(WS_CLIENT);
    check_direction(WS_SERVER);
    ws_relay_free(&s.relay);
    for (int i = 0; i < 2; i++) {
        buf_reset(&s.ends[i].in);
        buf_reset(&s.ends[i].all_in);
        buf_reset(&s.ends[i].out);
        frames_free(&s.ends[i].due);
        frames_free(&s.ends[i].seen);
    }
    return 0;
}
