#include "http/header.h"

static const struct slice names[] = {
    [HEADER_UNKNOWN] = { "", 0 },
#define HEADER_NAME(id, name) [HEADER_##id] = SLICE(name),
    HEADER_TABLE(HEADER_NAME)
#undef HEADER_NAME
};

struct slice header_name(enum header_id id) { return names[id]; }

/* Length and three letters tell the names of the table apart well enough for one probe. */
enum { BUCKETS = 512 };
static uint8_t buckets[BUCKETS];

static unsigned bucket_of(struct slice name)
{
    const unsigned char *at = (const unsigned char *)name.at;
    unsigned first = at[0] | 0x20u, last = at[name.len - 1] | 0x20u, middle = at[name.len / 2] | 0x20u;
    return (unsigned)(name.len * 31 + first * 7 + last * 131 + middle * 17) & (BUCKETS - 1);
}

__attribute__((constructor)) static void fill_buckets(void)
{
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        unsigned b = bucket_of(names[id]);
        while (buckets[b])
            b = (b + 1) & (BUCKETS - 1);
        buckets[b] = (uint8_t)id;
    }
}

/* Eight bytes at a time; setting bit 5 everywhere is right for the letters, digits and '-' that our names hold: other
 * bytes that become equal by it ('M' and CR) are not token bytes and never reach here. */
static bool equal_folded(const char *a, const char *b, size_t len)
{
    const uint64_t fold = 0x2020202020202020u;
    while (len >= 8) {
        uint64_t x, y;
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        if ((x | fold) != (y | fold))
            return false;
        a += 8, b += 8, len -= 8;
    }
    for (; len; len--)
        if ((*a++ | 0x20) != (*b++ | 0x20))
            return false;
    return true;
}

enum header_id header_id_of(struct slice name)
{
    if (name.len == 0 || name.len > 24)
        return HEADER_UNKNOWN;
    for (unsigned b = bucket_of(name); buckets[b]; b = (b + 1) & (BUCKETS - 1)) {
        struct slice known = names[buckets[b]];
        if (known.len == name.len && equal_folded(known.at, name.at, name.len))
            return (enum header_id)buckets[b];
    }
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
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}
