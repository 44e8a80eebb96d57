#include "http/ws_check.h"

#include <assert.h>

#include "base/utf8.h"

static unsigned fault(unsigned code, const char *text, const char **why)
{
    *why = text;
    return code;
}

/* What does not depend on the frames before. */
static const char *broken_rule(const struct ws_rules *r, const struct ws_head *h)
{
    bool is_control = ws_opcode_is_control(h->opcode);
    if (h->masked != r->expects_mask)
        return h->masked ? "a server's frame is masked" : "a client's frame is not masked";
    if (h->opcode > WS_PONG || (h->opcode > WS_BINARY && !is_control))
        return "reserved opcode";
    if (h->rsv & ~(unsigned)WS_RSV1 || (h->rsv && !r->deflate))
        return "reserved bit set";
    if (h->rsv && (is_control || h->opcode == WS_CONTINUATION))
        return "RSV1 set on a frame that begins no message";
    if (is_control && !h->fin)
        return "fragmented control frame";
    if (is_control && h->len > WS_CONTROL_MAX)
        return "control frame over 125 bytes";
    if (h->opcode == WS_CLOSE && h->len == 1)
        return "close frame with half a code";
    return NULL;
}

static bool is_text(const struct ws_check *c) { return c->message_opcode == WS_TEXT && !c->is_compressed; }

/* The frame in hand has all of its payload. */
static unsigned end_frame(struct ws_check *c, const char **why)
{
    if (c->opcode == WS_CLOSE && !c->close_code)
        c->close_code = WS_CLOSE_NONE;
    if (c->opcode == WS_CLOSE && c->reason != UTF8_WHOLE)
        return fault(WS_CLOSE_NOT_UTF8, "close reason ends within a character", why);
    if (ws_opcode_is_control(c->opcode) || !c->fin)
        return 0;
    if (is_text(c) && c->text != UTF8_WHOLE)
        return fault(WS_CLOSE_NOT_UTF8, "text ends within a character", why);
    c->message_opcode = 0;
    return 0;
}

unsigned ws_check_head(struct ws_check *c, const struct ws_rules *r, const struct ws_head *h, const char **why)
{
    assert(c->left == 0);
    const char *broken = broken_rule(r, h);
    if (broken)
        return fault(WS_CLOSE_PROTOCOL, broken, why);
    if (c->close_code)
        return fault(WS_CLOSE_PROTOCOL, "frame behind the close frame", why);
    if (!ws_opcode_is_control(h->opcode)) {
        if (!c->message_opcode && h->opcode == WS_CONTINUATION)
            return fault(WS_CLOSE_PROTOCOL, "continuation of no message", why);
        if (c->message_opcode && h->opcode != WS_CONTINUATION)
            return fault(WS_CLOSE_PROTOCOL, "message begins within a message", why);
        if (!c->message_opcode) {
            c->message_opcode = h->opcode;
            c->message_bytes = 0;
            c->is_compressed = h->rsv;
            c->text = UTF8_WHOLE;
        }
        if (h->len > (r->max_message ? r->max_message : UINT64_MAX) - c->message_bytes)
            return fault(WS_CLOSE_TOO_BIG, "message too big", why);
        c->message_bytes += h->len;
    }
    c->left = h->len;
    c->opcode = h->opcode;
    c->fin = h->fin;
    c->passed = 0;
    memcpy(c->mask, h->mask, sizeof c->mask);
    return c->left ? 0 : end_frame(c, why);
}

/* The code comes in the first two bytes, RFC 6455 section 5.5.1; the reason behind it is UTF-8. */
static unsigned check_close(struct ws_check *c, struct slice bytes, const char **why)
{
    for (; bytes.len && c->passed < 2; bytes = slice_from(bytes, 1)) {
        unsigned byte = (unsigned char)bytes.at[0] ^ c->mask[c->passed];
        c->close_code = (uint16_t)(c->close_code << 8 | byte);
        if (++c->passed == 2 && !ws_close_code_is_valid(c->close_code))
            return fault(WS_CLOSE_PROTOCOL, "close code that may not be sent", why);
    }
    c->reason = utf8_next(c->reason, bytes, ws_mask_key(c->mask, c->passed));
    c->passed = (uint8_t)(c->passed + bytes.len);
    return c->reason == UTF8_BROKEN ? fault(WS_CLOSE_NOT_UTF8, "close reason is not UTF-8", why) : 0;
}

static unsigned check_text(struct ws_check *c, struct slice bytes, const char **why)
{
    c->text = utf8_next(c->text, bytes, ws_mask_key(c->mask, c->passed));
    c->passed = (uint8_t)(c->passed + bytes.len);
    return c->text == UTF8_BROKEN ? fault(WS_CLOSE_NOT_UTF8, "text is not UTF-8", why) : 0;
}

unsigned ws_check_payload(struct ws_check *c, struct slice bytes, const char **why)
{
    assert(bytes.len <= c->left);
    unsigned code = 0;
    if (c->opcode == WS_CLOSE)
        code = check_close(c, bytes, why);
    else if (!ws_opcode_is_control(c->opcode) && is_text(c))
        code = check_text(c, bytes, why);
    c->left -= bytes.len;
    return code || c->left ? code : end_frame(c, why);
}
