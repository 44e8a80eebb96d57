#include "http/header.h"

#include "http/header_table.h"

static const struct slice names[] = {
    [HEADER_UNKNOWN] = { "", 0 },
#define HEADER_NAME(id, name) [HEADER_##id] = SLICE(name),
    HEADER_TABLE(HEADER_NAME)
#undef HEADER_NAME
};

struct slice header_name(enum header_id id) { return names[id]; }

struct header_slot header_slots[HEADER_SLOTS];
uint64_t header_factor = 0x9e3779b97f4a7c15u;

/* False where two names want the same slot. */
static bool fill_slots(void)
{
    memset(header_slots, 0, sizeof header_slots);
    for (uint32_t id = 1; id < HEADER_COUNT; id++) {
        struct header_slot slot = header_slot_of(names[id].at, names[id].len), *place = header_place(&slot);
        if (place->id)
            return false;
        slot.id = id;
        *place = slot;
    }
    return true;
}

__attribute__((constructor)) static void find_factor(void)
{
    while (!fill_slots())
        header_factor *= 0xd1342543de82ef95u;       /* odd, as all before */
}

enum header_id header_id_of(struct slice name) { return header_look_up(name); }

void headers_grow(struct headers *h, struct arena *a)
{
    uint32_t cap = h->cap ? h->cap * 2 : HEADERS_ROOM;
    struct header *at = arena_alloc(a, cap * sizeof *at);
    if (h->count)
        memcpy(at, h->at, h->count * sizeof *at);
    h->at = at;
    h->cap = cap;
}

#define T(c) [c] = 1
const uint8_t header_token_table[256] = {
    T('!'), T('#'), T('$'), T('%'), T('&'), T('\''), T('*'), T('+'), T('-'), T('.'), T('^'), T('_'), T('`'), T('|'),
    T('~'), T('0'), T('1'), T('2'), T('3'), T('4'), T('5'), T('6'), T('7'), T('8'), T('9'), T('A'), T('B'), T('C'),
    T('D'), T('E'), T('F'), T('G'), T('H'), T('I'), T('J'), T('K'), T('L'), T('M'), T('N'), T('O'), T('P'), T('Q'),
    T('R'), T('S'), T('T'), T('U'), T('V'), T('W'), T('X'), T('Y'), T('Z'), T('a'), T('b'), T('c'), T('d'), T('e'),
    T('f'), T('g'), T('h'), T('i'), T('j'), T('k'), T('l'), T('m'), T('n'), T('o'), T('p'), T('q'), T('r'), T('s'),
    T('t'), T('u'), T('v'), T('w'), T('x'), T('y'), T('z'),
};
#undef T

bool header_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!header_token_table[(unsigned char)s.at[i]])
            return false;
    return s.len > 0;
}

/* Whether one of eight bytes is below a space, or DEL. */
static inline bool has_control(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t below = (word - ones * ' ') & ~word & high, del = word ^ ones * 0x7f;
    return below | ((del - ones) & ~del & high);
}

/* The same for up to eight bytes. */
static inline bool has_control_short(const char *at, size_t len)
{
    uint32_t a, b;
    if (len >= 4) {
        memcpy(&a, at, 4);
        memcpy(&b, at + len - 4, 4);
        return has_control((uint64_t)a << 32 | b);
    }
    uint64_t word = 0x2020202020202020u;
    for (size_t i = 0; i < len; i++)
        word = word << 8 | (unsigned char)at[i];
    return has_control(word);
}

static bool is_value_by_byte(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* A tab, which is allowed, looks like a control byte at first; it is rare. */
bool header_is_value(struct slice s)
{
    uint64_t word;
    size_t i = 0;
    if (s.len < 8)
        return !has_control_short(s.at, s.len) || is_value_by_byte(s);
    for (; i + 8 < s.len; i += 8) {
        memcpy(&word, s.at + i, 8);
        if (has_control(word))
            return is_value_by_byte(s);
    }
    memcpy(&word, s.at + s.len - 8, 8);
    return !has_control(word) || is_value_by_byte(s);
}

struct header *headers_find(struct headers *h, enum header_id id)
{
    for (uint32_t i = h->first[id] ? h->first[id] - 1u : h->count; i < h->count; i++)
        if (h->at[i].id == id && !h->at[i].skip)
            return &h->at[i];
    return NULL;
}

void headers_skip(struct headers *h, enum header_id id)
{
    for (uint32_t i = h->first[id] ? h->first[id] - 1u : h->count; i < h->count; i++)
        h->at[i].skip |= h->at[i].id == id;
}

void headers_own(struct headers *h, struct arena *a)
{
    for (struct header *field = h->at; field < h->at + h->count; field++) {
        field->name = arena_copy(a, field->name);
        field->value = arena_copy(a, field->value);
        field->line = LINE_NONE;
    }
}
