#include "base/utf8.h"

/* What a byte can be within a character: what may follow the lead bytes E0, ED, F0 and F4 is less than elsewhere. */
enum class {
    ASCII, LOW /* 80-8F */, MIDDLE /* 90-9F */, HIGH /* A0-BF */, LEAD_2, LEAD_E0, LEAD_3, LEAD_ED, LEAD_F0, LEAD_4,
    LEAD_F4, NEVER, CLASSES,
};

static const uint8_t classes[256] = {
    [0x80 ... 0x8f] = LOW,     [0x90 ... 0x9f] = MIDDLE,  [0xa0 ... 0xbf] = HIGH,   [0xc0 ... 0xc1] = NEVER,
    [0xc2 ... 0xdf] = LEAD_2,  [0xe0] = LEAD_E0,          [0xe1 ... 0xec] = LEAD_3, [0xed] = LEAD_ED,
    [0xee ... 0xef] = LEAD_3,  [0xf0] = LEAD_F0,          [0xf1 ... 0xf3] = LEAD_4, [0xf4] = LEAD_F4,
    [0xf5 ... 0xff] = NEVER,
};

/* ONE, TWO, THREE: that many bytes of the character are still to come. */
enum { WHOLE = UTF8_WHOLE, ONE, TWO, THREE, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4, BROKEN = UTF8_BROKEN, STATES };

/* RFC 3629 section 4, rule by rule. */
static const uint8_t nexts[STATES][CLASSES] = {
    [WHOLE]    = { [ASCII] = WHOLE, [LOW ... HIGH] = BROKEN, [LEAD_2] = ONE, [LEAD_3] = TWO, [LEAD_4] = THREE,
                   [LEAD_E0] = AFTER_E0, [LEAD_ED] = AFTER_ED, [LEAD_F0] = AFTER_F0, [LEAD_F4] = AFTER_F4,
                   [NEVER] = BROKEN },
    [ONE]      = { [ASCII] = BROKEN, [LOW ... HIGH] = WHOLE, [LEAD_2 ... NEVER] = BROKEN },
    [TWO]      = { [ASCII] = BROKEN, [LOW ... HIGH] = ONE, [LEAD_2 ... NEVER] = BROKEN },
    [THREE]    = { [ASCII] = BROKEN, [LOW ... HIGH] = TWO, [LEAD_2 ... NEVER] = BROKEN },
    [AFTER_E0] = { [ASCII ... MIDDLE] = BROKEN, [HIGH] = ONE, [LEAD_2 ... NEVER] = BROKEN },
    [AFTER_ED] = { [ASCII] = BROKEN, [LOW ... MIDDLE] = ONE, [HIGH ... NEVER] = BROKEN },
    [AFTER_F0] = { [ASCII ... LOW] = BROKEN, [MIDDLE ... HIGH] = TWO, [LEAD_2 ... NEVER] = BROKEN },
    [AFTER_F4] = { [ASCII] = BROKEN, [LOW] = TWO, [MIDDLE ... NEVER] = BROKEN },
    [BROKEN]   = { [ASCII ... NEVER] = BROKEN },
};

static inline uint8_t step(uint8_t state, unsigned char byte) { return nexts[state][classes[byte]]; }

uint8_t utf8_next(uint8_t state, struct slice bytes, uint64_t key)
{
    enum { WORD = sizeof(uint64_t) };
    unsigned char keys[WORD];
    memcpy(keys, &key, WORD);
    size_t i = 0;
    for (; bytes.len - i >= WORD; i += WORD) {
        uint64_t word;
        memcpy(&word, bytes.at + i, WORD);
        word ^= key;
        if (state == WHOLE && !(word & 0x8080808080808080u))
            continue;
        unsigned char plain[WORD];
        memcpy(plain, &word, WORD);
        for (unsigned k = 0; k < WORD; k++)
            state = step(state, plain[k]);
        if (state == BROKEN)
            return BROKEN;
    }
    for (unsigned k = 0; i < bytes.len; i++, k++)
        state = step(state, (unsigned char)bytes.at[i] ^ keys[k]);
    return state;
}

size_t utf8_prefix(struct slice text, size_t max)
{
    size_t whole = 0;
    uint8_t state = WHOLE;
    for (size_t i = 0; i < text.len && i < max && state != BROKEN; i++) {
        state = step(state, (unsigned char)text.at[i]);
        if (state == WHOLE)
            whole = i + 1;
    }
    return whole;
}
