#include "http/request_timeout.h"

enum { WHOLE_DIGITS = 11, DECIMALS = 9 };

static const uint64_t MS_MAX = 1000ull * 24 * 3600 * 1000;

/* Microseconds of a unit; 0: there is none of that name. */
static uint64_t unit_us(struct slice name)
{
    if (!name.len || slice_equal(name, SLICE_OF("s")))
        return 1000000;
    if (slice_equal(name, SLICE_OF("ms")))
        return 1000;
    return slice_equal(name, SLICE_OF("m")) ? 60000000 : 0;
}

static size_t count_digits(struct slice s)
{
    size_t n = 0;
    while (n < s.len && s.at[n] >= '0' && s.at[n] <= '9')
        n++;
    return n;
}

enum rc request_timeout_parse(struct slice value, uint64_t *ms)
{
    uint64_t whole, us = 0;
    size_t n = count_digits(value);
    if (!n || n > WHOLE_DIGITS || !slice_to_u64(slice_make(value.at, n), UINT64_MAX, &whole))
        return RC_MALFORMED;
    struct slice rest = slice_from(value, n), decimals = SLICE_NONE;
    if (rest.len && rest.at[0] == '.') {
        rest = slice_from(rest, 1);
        n = count_digits(rest);
        if (!n || n > DECIMALS)
            return RC_MALFORMED;
        decimals = slice_make(rest.at, n);
        rest = slice_from(rest, n);
    }
    uint64_t unit = unit_us(rest), part = unit;
    bool is_more = false;
    for (size_t i = 0; i < decimals.len; i++) {
        uint64_t digit = (uint64_t)(decimals.at[i] - '0');
        is_more |= digit && part < 10;
        part /= 10;
        us += digit * part;
    }
    us += whole * unit + is_more;
    *ms = us / 1000 + (us % 1000 != 0);
    return unit && *ms < MS_MAX ? RC_OK : RC_MALFORMED;
}

size_t request_timeout_print(uint64_t ms, char *out)
{
    size_t n = format_u64(out, ms / 1000);
    out[n++] = '.';
    out[n++] = (char)('0' + ms / 100 % 10);
    out[n++] = (char)('0' + ms / 10 % 10);
    out[n++] = (char)('0' + ms % 10);
    return n;
}
