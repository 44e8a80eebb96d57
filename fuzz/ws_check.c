/* Frames: the same verdict however the bytes are cut; what is let through is a stream of frames that reads the same
 * when it is written again. The first byte of the input says by which rules. */
#include "base/utf8.h"
#include "fuzz.h"
#include "http/ws_check.h"

enum { MALFORMED = 1 };     /* a head that is none, where a close code stands else */

struct verdict {
    unsigned code;
    const char *why;
    size_t used;            /* bytes of whole frames that were let through */
    struct ws_check check;
};

static const struct ws_rules rules_of[] = {
    { .max_message = 0, .expects_mask = true, .deflate = false },
    { .max_message = 100, .expects_mask = true, .deflate = true },
    { .max_message = 0, .expects_mask = false, .deflate = true },
    { .max_message = 10, .expects_mask = false, .deflate = false },
};

/* What is written for a head is what was read, as a length has one form only. */
static void check_head_again(const uint8_t *data, const struct ws_head *h)
{
    char again[WS_HEAD_MAX];
    assert(ws_head_write(again, h) == h->size && memcmp(again, data, h->size) == 0);
}

/* The next head, or a run of payload: how many bytes it took, 0 where there are too few. */
static size_t take(struct verdict *v, const struct ws_rules *rules, const uint8_t *data, size_t size)
{
    struct slice held = fuzz_copy(data, size, 0x81);
    struct ws_head h;
    size_t used = 0;
    if (v->check.left) {
        used = v->check.left < size ? (size_t)v->check.left : size;
        v->code = ws_check_payload(&v->check, slice_make(held.at, used), &v->why);
        assert(memcmp(held.at, data, size) == 0);
    } else {
        enum rc rc = ws_head_parse(held, &h);
        if (rc == RC_MALFORMED)
            v->code = MALFORMED;
        if (rc == RC_OK) {
            check_head_again(data, &h);
            v->code = ws_check_head(&v->check, rules, &h, &v->why);
            used = h.size;
        }
    }
    fuzz_free(held);
    return used;
}

static bool is_over(const struct verdict *v) { return v->code || (v->check.close_code && !v->check.left); }

/* data[0..size) as it comes in pieces of `step` bytes. */
static struct verdict relay(const uint8_t *data, size_t size, size_t step, const struct ws_rules *rules)
{
    struct verdict v = { 0 };
    size_t at = 0;
    for (size_t have = 0; have < size && !is_over(&v);) {
        have += size - have < step ? size - have : step;
        size_t used = 1;
        while (at < have && used && !is_over(&v)) {
            used = take(&v, rules, data + at, have - at);
            at += used;
            if (used && !v.code && !v.check.left)
                v.used = at;
        }
    }
    assert(!v.code || v.code == MALFORMED || (v.why && ws_close_code_is_valid(v.code)));
    return v;
}

/* Texts that were let through whole, frame by frame, are UTF-8. */
static void check_texts(const uint8_t *data, size_t size)
{
    uint8_t state = UTF8_WHOLE;
    bool is_plain_text = false;
    for (size_t at = 0; at < size;) {
        struct ws_head h;
        assert(ws_head_parse(slice_make((const char *)data + at, size - at), &h) == RC_OK);
        at += h.size;
        struct slice payload = fuzz_copy(data + at, (size_t)h.len, 0);
        ws_mask((char *)(uintptr_t)payload.at, payload.len, h.mask, 0);
        if (h.opcode == WS_TEXT || h.opcode == WS_BINARY)
            is_plain_text = h.opcode == WS_TEXT && !h.rsv;
        if (is_plain_text && !ws_opcode_is_control(h.opcode)) {
            state = utf8_next(state, payload, 0);
            assert(state != UTF8_BROKEN && (!h.fin || state == UTF8_WHOLE));
        }
        if (h.opcode == WS_CLOSE && h.len)
            assert(h.len >= 2 && utf8_is_valid(slice_from(payload, 2)));
        fuzz_free(payload);
        at += (size_t)h.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = { 1, 2, 3, 7, 13 };
    if (size == 0)
        return 0;
    const struct ws_rules *rules = &rules_of[data[0] & 3];
    struct verdict whole = relay(data + 1, size - 1, size, rules);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct verdict cut = relay(data + 1, size - 1, steps[i], rules);
        assert(cut.code == whole.code && cut.why == whole.why && cut.used == whole.used);
        assert(cut.check.close_code == whole.check.close_code || whole.code);
    }
    check_texts(data + 1, whole.used);
    return 0;
}
