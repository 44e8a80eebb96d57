#include "base/slice.h"

#include <sys/random.h>

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (byte_lower((unsigned char)a.at[i]) != byte_lower((unsigned char)b.at[i]))
            return false;
    return true;
}

static bool is_space(char c) { return c == ' ' || c == '\t'; }

struct slice slice_trim(struct slice s)
{
    while (s.len && is_space(s.at[0]))
        s = slice_from(s, 1);
    while (s.len && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

bool slice_next_member(struct slice *list, struct slice *member)
{
    while (list->len) {
        bool quoted = false;
        size_t i = 0;
        for (; i < list->len && (quoted || list->at[i] != ','); i++) {
            if (list->at[i] == '"')
                quoted = !quoted;
            else if (quoted && list->at[i] == '\\' && i + 1 < list->len)
                i++;
        }
        *member = slice_trim(slice_make(list->at, i));
        *list = slice_from(*list, i < list->len ? i + 1 : i);
        if (member->len)
            return true;
    }
    return false;
}

bool slice_list_has(struct slice list, struct slice token)
{
    struct slice member;
    while (slice_next_member(&list, &member))
        if (slice_equal_nocase(member, token))
            return true;
    return false;
}

/* One digit more. False where it is none, or n would be too large. */
static bool add_digit(uint64_t *n, char c)
{
    unsigned digit = (unsigned char)c - '0';
    if (digit > 9 || *n > (UINT64_MAX - digit) / 10)
        return false;
    *n = *n * 10 + digit;
    return true;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out)
{
    enum { DIGITS_SAFE = 19 };          /* this many cannot overflow 64 bits */
    const char *at = s.at, *end = slice_end(s);
    uint64_t n = 0;
    if (s.len == 0)
        return false;
    const char *safe = s.len > DIGITS_SAFE ? at + DIGITS_SAFE : end;
    do {
        unsigned digit = (unsigned char)*at - '0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    } while (++at < safe);
    for (; at < end; at++)
        if (!add_digit(&n, *at))
            return false;
    *out = n;
    return n <= max;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static inline size_t digits_of(uint64_t n)
{
    size_t digits = 1;
    for (; n >= 10000; n /= 10000)
        digits += 4;
    return digits + (n >= 10) + (n >= 100) + (n >= 1000);
}

size_t format_u64(char *at, uint64_t n)
{
    size_t len = digits_of(n), end = len;
    for (; n >= 100; n /= 100)
        memcpy(at + (end -= 2), digit_pairs + 2 * (n % 100), 2);
    if (n >= 10)
        memcpy(at, digit_pairs + 2 * n, 2);
    else
        at[0] = (char)('0' + n);
    return len;
}

size_t format_hex(char *at, uint64_t n)
{
    char digits[16];
    size_t len = 0;
    do
        digits[sizeof digits - ++len] = "0123456789abcdef"[n & 15];
    while (n >>= 4);
    memcpy(at, digits + sizeof digits - len, len);
    return len;
}

static uint64_t seed;

__attribute__((constructor)) static void seed_hash(void)
{
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = 0x9e3779b97f4a7c15u;     /* no entropy device: fixed, still a good mixer */
}

static uint64_t mum(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return word;
}

/* `fold` is all ones to set bit 5 wherever bit 6 is set, which makes letters equal but for case; 0 takes bytes as
 * they are. */
static uint32_t hash(struct slice s, uint64_t fold)
{
    uint64_t h = seed ^ (s.len * 0xa0761d6478bd642fu);
    while (s.len) {
        size_t n = s.len < 8 ? s.len : 8;
        uint64_t word = load(s.at, n);
        word |= (word & 0x4040404040404040u & fold) >> 1;
        h = mum(h ^ word, 0xe7037ed1a0b428dbu);
        s = slice_from(s, n);
    }
    return (uint32_t)(h ^ h >> 32);
}

uint32_t slice_hash(struct slice s) { return hash(s, 0); }
uint32_t slice_hash_nocase(struct slice s) { return hash(s, UINT64_MAX); }

uint32_t hash_mix(uint32_t a, uint32_t b)
{
    uint64_t h = mum(seed ^ ((uint64_t)a << 32 | b), 0xe7037ed1a0b428dbu);
    return (uint32_t)(h ^ h >> 32);
}
