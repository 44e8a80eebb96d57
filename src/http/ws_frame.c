#include "http/ws_frame.h"

#include <assert.h>

#include "base/utf8.h"

enum { FIN = 0x80, MASKED = 0x80, LEN_7 = 0x7f, LEN_16 = 126, LEN_64 = 127, OPCODE = 0x0f };

static uint64_t read_big_endian(const unsigned char *at, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n = n << 8 | at[i];
    return n;
}

static void write_big_endian(char *at, size_t len, uint64_t n)
{
    while (len--) {
        at[len] = (char)(n & 0xff);
        n >>= 8;
    }
}

/* Bytes of the length behind the first two. */
static size_t length_size(unsigned short_len) { return short_len == LEN_16 ? 2 : short_len == LEN_64 ? 8 : 0; }

enum rc ws_head_parse(struct slice bytes, struct ws_head *out)
{
    const unsigned char *at = (const unsigned char *)bytes.at;
    if (bytes.len < 2)
        return RC_AGAIN;
    size_t extended = length_size(at[1] & LEN_7);
    bool masked = at[1] & MASKED;
    size_t size = 2 + extended + (masked ? 4 : 0);
    if (bytes.len < size)
        return RC_AGAIN;
    *out = (struct ws_head){
        .len = extended ? read_big_endian(at + 2, extended) : at[1] & LEN_7,
        .opcode = at[0] & OPCODE, .rsv = at[0] >> 4 & 7, .size = (uint8_t)size, .fin = at[0] & FIN, .masked = masked,
    };
    if (masked)
        memcpy(out->mask, at + 2 + extended, sizeof out->mask);
    bool is_minimal = extended == 0 || out->len > (extended == 2 ? WS_CONTROL_MAX : UINT16_MAX);
    return is_minimal && out->len <= INT64_MAX ? RC_OK : RC_MALFORMED;
}

size_t ws_head_write(char out[WS_HEAD_MAX], const struct ws_head *h)
{
    assert(h->len <= INT64_MAX && h->opcode <= OPCODE && h->rsv <= 7);
    unsigned short_len = h->len <= WS_CONTROL_MAX ? (unsigned)h->len : h->len <= UINT16_MAX ? LEN_16 : LEN_64;
    size_t extended = length_size(short_len), size = 2 + extended;
    out[0] = (char)((h->fin ? FIN : 0) | h->rsv << 4 | h->opcode);
    out[1] = (char)((h->masked ? MASKED : 0) | short_len);
    write_big_endian(out + 2, extended, h->len);
    if (h->masked) {
        memcpy(out + size, h->mask, sizeof h->mask);
        size += sizeof h->mask;
    }
    return size;
}

uint64_t ws_mask_key(const uint8_t mask[4], uint64_t offset)
{
    uint8_t thrice[12];
    uint64_t key;
    for (unsigned i = 0; i < sizeof thrice; i += 4)
        memcpy(thrice + i, mask, 4);
    memcpy(&key, thrice + (offset & 3), sizeof key);
    return key;
}

void ws_mask(char *at, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint64_t key = ws_mask_key(mask, offset);
    for (; len >= sizeof key; at += sizeof key, len -= sizeof key) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        word ^= key;
        memcpy(at, &word, sizeof word);
    }
    /* A word is two turns of the mask: the rest begins where the first word did. */
    for (size_t i = 0; i < len; i++)
        at[i] = (char)(at[i] ^ mask[(offset + i) & 3]);
}

bool ws_close_code_is_valid(unsigned code)
{
    /* 1004 is reserved; 1005, 1006 and 1015 are for programs to tell each other, never for the wire. */
    if (code < 1016)
        return code >= 1000 && code != 1004 && code != WS_CLOSE_NONE && code != WS_CLOSE_ABNORMAL && code != 1015;
    return code >= 3000 && code <= 4999;
}

size_t ws_close_write(char out[WS_CONTROL_MAX], unsigned code, struct slice reason)
{
    if (code == WS_CLOSE_NONE)
        return 0;
    assert(ws_close_code_is_valid(code));
    write_big_endian(out, 2, code);
    size_t len = utf8_prefix(reason, WS_CONTROL_MAX - 2);
    if (len)
        memcpy(out + 2, reason.at, len);
    return 2 + len;
}
