#pragma once
/* header_table: the known header names as a table, for who looks up every field of a head: header_id_of inlined. A name
 * is told by its first and its last bytes as words, and by those between where it is longer than two words. Letters are
 * folded to lower case. Bit 5 is set where bit 6 is, which does that to letters and leaves digits and '-' as they are,
 * and all our names consist of these. So what equals a known name consists of such bytes too. */
#include "http/header.h"

enum { HEADER_SLOTS = 256, HEADER_KNOWN_MAX = 24 };

/* middle: the word behind the first, of a name over 16 bytes. */
struct header_slot { uint64_t first, middle, last; uint32_t len, id; };

/* Each known name has a slot to itself: the factor that makes it so is found at start. */
#pragma GCC visibility push(hidden)
extern struct header_slot header_slots[HEADER_SLOTS];
extern uint64_t header_factor;
#pragma GCC visibility pop

static inline uint64_t header_fold(uint64_t bytes) { return bytes | (bytes >> 1 & 0x2020202020202020u); }

static inline uint64_t header_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return header_fold(word);
}

static inline uint64_t header_half_word(const char *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return header_fold(word);
}

/* All but the id. The name has 1 to HEADER_KNOWN_MAX bytes. */
static inline struct header_slot header_slot_of(const char *name, size_t len)
{
    struct header_slot s = { .len = (uint32_t)len };
    if (len >= 8) {
        s.first = header_word(name);
        s.last = header_word(name + len - 8);
        if (len > 16)
            s.middle = header_word(name + 8);
    } else if (len >= 4) {
        s.first = header_half_word(name);
        s.last = header_half_word(name + len - 4);
    } else {
        s.first = header_fold((uint64_t)(uint8_t)name[0] << 16 | (uint64_t)(uint8_t)name[len / 2] << 8 |
                              (uint8_t)name[len - 1]);
    }
    return s;
}

static inline struct header_slot *header_place(const struct header_slot *s)
{
    return &header_slots[(s->first + s->last * 3 + s->len) * header_factor >> 56];
}

static inline enum header_id header_look_up(struct slice name)
{
    if (name.len - 1 >= HEADER_KNOWN_MAX)
        return HEADER_UNKNOWN;
    const struct header_slot wanted = header_slot_of(name.at, name.len), *known = header_place(&wanted);
    uint64_t differs = (known->first ^ wanted.first) | (known->last ^ wanted.last) | (known->middle ^ wanted.middle) |
                       (known->len ^ wanted.len);
    return differs ? HEADER_UNKNOWN : (enum header_id)known->id;
}
