#include "proxy/split.h"

#include <math.h>

#include "base/siphash.h"
#include "http/cookie.h"
#include "http/header.h"

#define SECURE "; Secure"

struct split *split_new(struct arena *a, uint32_t cap)
{
    struct split *s = arena_zero(a, sizeof *s);
    s->cap = cap;
    s->shares = arena_zero(a, cap * sizeof *s->shares);
    return s;
}

static char *put(char *at, struct slice s)
{
    memcpy(at, s.at, s.len);
    return at + s.len;
}

/* RFC 6265 section 4.1. Lax: links from elsewhere keep their service, forms posted from elsewhere do not matter. */
static struct slice write_cookie(const struct split *s, struct arena *a, const char *token)
{
    enum { FIXED = 96 };        /* attributes and the digits of an age */
    char *text = arena_alloc(a, s->cookie.len + SHARE_TOKEN + FIXED), *at = put(text, s->cookie);
    at = put(put(at, SLICE_OF("=")), slice_make(token, SHARE_TOKEN));
    if (s->max_age_s) {
        at = put(at, SLICE_OF("; Max-Age="));
        at += format_u64(at, s->max_age_s);
    }
    at = put(at, SLICE_OF("; Path=/; HttpOnly; SameSite=Lax" SECURE));
    return slice_make(text, (size_t)(at - text));
}

/* The keys are fixed: clients stay where they are over a restart, and behind another gateway with the same services. */
struct share *split_add(struct split *s, struct arena *a, struct service_slot *service, struct slice name,
                        uint32_t weight)
{
    static const struct siphash_key seeds = { 0x73656564, 1 }, tokens = { 0x746f6b656e, 2 };
    struct share *share = &s->shares[s->count++];
    uint64_t token = siphash(tokens, name);
    share->service = service;
    share->weight = weight;
    share->seed = siphash(seeds, name);
    for (int i = 0; i < SHARE_TOKEN; i++)
        share->token[i] = "0123456789abcdef"[token >> (4 * i) & 15];
    if (s->cookie.len)
        share->set_cookie = write_cookie(s, a, share->token);
    s->total += weight;
    return share;
}

const struct share *split_draw(const struct split *s, struct random *random)
{
    uint64_t left = random_below(random, s->total);
    const struct share *share = s->shares;
    for (; left >= share->weight; share++)
        left -= share->weight;
    return share;
}

/* Each share draws a number from the key by itself; the one that comes first by an exponential clock of its weight
 * wins. A weight that grows can only win keys, one that shrinks can only lose them. */
const struct share *split_of_key(const struct split *s, struct slice key)
{
    const struct share *best = NULL;
    double least = INFINITY;
    for (const struct share *share = s->shares; share < s->shares + s->count; share++) {
        if (!share->weight)
            continue;
        uint64_t hash = siphash((struct siphash_key){ share->seed, 0 }, key);
        double unit = ((double)(hash >> 11) + 0.5) * 0x1p-53;           /* above 0, below 1 */
        double due = -log(unit) / share->weight;
        if (due < least) {
            least = due;
            best = share;
        }
    }
    return best;
}

const struct share *split_of_token(const struct split *s, struct slice text)
{
    for (const struct share *share = s->shares; share < s->shares + s->count; share++)
        if (share->weight && slice_equal(text, slice_make(share->token, SHARE_TOKEN)))
            return share;
    return NULL;
}

static struct slice header_of(const struct split *s, const struct headers *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        const struct header *field = &h->at[i];
        bool is_named = field->id == s->header_id &&
                        (s->header_id != HEADER_UNKNOWN || slice_equal_nocase(field->name, s->header));
        if (is_named && !field->removed)
            return field->value;
    }
    return SLICE_NONE;
}

const struct share *split_choose(const struct split *s, const struct request *r, struct random *random, bool *is_new)
{
    const struct share *share = NULL;
    struct slice value;
    *is_new = false;
    if (s->cookie.len) {
        if (cookie_of_request(r, s->cookie, &value))
            share = split_of_token(s, value);
        *is_new = !share;
    } else if (s->header.len) {
        value = header_of(s, &r->headers);
        if (value.len)
            share = split_of_key(s, value);
    }
    return share ? share : split_draw(s, random);
}

struct slice split_set_cookie(const struct share *share, bool is_tls)
{
    struct slice text = share->set_cookie;
    return is_tls ? text : slice_make(text.at, text.len - (sizeof SECURE - 1));
}
