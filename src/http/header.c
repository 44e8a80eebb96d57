#include "http/header.h"

static const struct slice names[] = {
    [HEADER_UNKNOWN] = { "", 0 },
#define HEADER_NAME(id, name) [HEADER_##id] = SLICE(name),
    HEADER_TABLE(HEADER_NAME)
#undef HEADER_NAME
};

struct slice header_name(enum header_id id) { return names[id]; }

/* A name of up to 24 bytes as three words that overlap instead of a byte loop, letters folded. Setting bit 5 everywhere
 * is right for the letters and '-' that our names hold: other bytes that become equal by it ('M' and CR) are not token
 * bytes and never reach here. */
struct fingerprint { uint64_t first, last; };

enum { BUCKETS = 256, KNOWN_MAX = 24 };
static struct { struct fingerprint print; uint32_t len, id; } buckets[BUCKETS];

static inline uint64_t load8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word | 0x2020202020202020u;
}

static inline struct fingerprint fingerprint_of(const char *at, size_t len)
{
    if (len >= 8)
        return (struct fingerprint){ load8(at), load8(at + len - 8) };
    uint32_t a, b;
    if (len >= 4) {
        memcpy(&a, at, 4);
        memcpy(&b, at + len - 4, 4);
        return (struct fingerprint){ a | 0x20202020u, b | 0x20202020u };
    }
    a = (uint8_t)at[0] | 0x20u, b = (uint8_t)at[len - 1] | 0x20u;
    return (struct fingerprint){ a, b | ((uint8_t)at[len / 2] | 0x20u) << 8 };
}

static inline unsigned bucket_of(struct fingerprint f, size_t len)
{
    uint64_t h = (f.first ^ (f.last << 7) ^ len) * 0x9e3779b97f4a7c15u;
    return (unsigned)(h >> 56);
}

__attribute__((constructor)) static void fill_buckets(void)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        struct fingerprint f = fingerprint_of(names[id].at, names[id].len);
        unsigned b = bucket_of(f, names[id].len);
        while (buckets[b].id)
            b = (b + 1) & (BUCKETS - 1);
        buckets[b].print = f;
        buckets[b].len = (uint32_t)names[id].len;
        buckets[b].id = id;
    }
}

enum header_id header_id_of(struct slice name)
{
    if (name.len == 0 || name.len > KNOWN_MAX)
        return HEADER_UNKNOWN;
    struct fingerprint f = fingerprint_of(name.at, name.len);
    for (unsigned b = bucket_of(f, name.len); buckets[b].id; b = (b + 1) & (BUCKETS - 1))
        if (buckets[b].print.first == f.first && buckets[b].print.last == f.last && buckets[b].len == name.len &&
            (name.len <= 16 || load8(name.at + 8) == load8(names[buckets[b].id].at + 8)))
            return (enum header_id)buckets[b].id;
    return HEADER_UNKNOWN;
}

void headers_grow(struct headers *h, struct arena *a)
{
    uint32_t cap = h->cap ? h->cap * 2 : 16;
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

bool header_is_value(struct slice s)
{
    bool good = true;
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        /* Eight bytes at once: is one below a space, or DEL? A tab looks like a bad one; it is looked at below. */
        const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
        uint64_t word;
        memcpy(&word, s.at + i, 8);
        uint64_t below = (word - ones * ' ') & ~word & high, del = word ^ ones * 0x7f;
        if (below | ((del - ones) & ~del & high))
            break;
    }
    for (; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        good &= (c >= ' ' && c != 0x7f) || c == '\t';
    }
    return good;
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
        field->in_head = false;
    }
}
