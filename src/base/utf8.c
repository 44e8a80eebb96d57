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

/* A state is where in a row the state behind it stands: a step is a shift. ONE, TWO, THREE: that many bytes of the
 * character are still to come. */
enum {
    WHOLE = UTF8_WHOLE, BROKEN = UTF8_BROKEN, ONE = 12, TWO = 18, THREE = 24, AFTER_E0 = 30, AFTER_ED = 36,
    AFTER_F0 = 42, AFTER_F4 = 48, STATE_MASK = 63,
};

#define ROW(whole, one, two, three, e0, ed, f0, f4)                                                                    \
    ((uint64_t)(whole) << WHOLE | (uint64_t)BROKEN << BROKEN | (uint64_t)(one) << ONE | (uint64_t)(two) << TWO |       \
     (uint64_t)(three) << THREE | (uint64_t)(e0) << AFTER_E0 | (uint64_t)(ed) << AFTER_ED |                            \
     (uint64_t)(f0) << AFTER_F0 | (uint64_t)(f4) << AFTER_F4)
#define FIRST(next) ROW(next, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN)

/* RFC 3629 section 4, rule by rule. */
static const uint64_t rows[CLASSES] = {
    /* behind:      WHOLE   ONE    TWO  THREE E0      ED      F0      F4 */
    [LOW]     = ROW(BROKEN, WHOLE, ONE, TWO,  BROKEN, ONE,    BROKEN, TWO),
    [MIDDLE]  = ROW(BROKEN, WHOLE, ONE, TWO,  BROKEN, ONE,    TWO,    BROKEN),
    [HIGH]    = ROW(BROKEN, WHOLE, ONE, TWO,  ONE,    BROKEN, TWO,    BROKEN),
    [ASCII]   = FIRST(WHOLE),
    [LEAD_2]  = FIRST(ONE),
    [LEAD_E0] = FIRST(AFTER_E0),
    [LEAD_3]  = FIRST(TWO),
    [LEAD_ED] = FIRST(AFTER_ED),
    [LEAD_F0] = FIRST(AFTER_F0),
    [LEAD_4]  = FIRST(THREE),
    [LEAD_F4] = FIRST(AFTER_F4),
    [NEVER]   = FIRST(BROKEN),
};

static inline unsigned step(unsigned state, unsigned char byte) { return rows[classes[byte]] >> state & STATE_MASK; }

uint8_t utf8_next(uint8_t before, struct slice bytes, uint64_t key)
{
    enum { WORD = sizeof(uint64_t) };
    unsigned state = before;
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
    return (uint8_t)state;
}

size_t utf8_prefix(struct slice text, size_t max)
{
    size_t whole = 0;
    unsigned state = WHOLE;
    for (size_t i = 0; i < text.len && i < max && state != BROKEN; i++) {
        state = step(state, (unsigned char)text.at[i]);
        if (state == WHOLE)
            whole = i + 1;
    }
    return whole;
}
