#include "proxy/seats.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/siphash.h"
#include "http/cookie.h"

enum { TOKEN_DIGITS = 16 };

struct token { uint64_t value; uint16_t index; };

struct seats {
    struct token *sorted;
    uint64_t *by_index;
    uint32_t count;
};

/* -- control thread -- */

static struct siphash_key own_key(void)
{
    static struct siphash_key key;
    if (!key.a && getrandom(&key, sizeof key, 0) != sizeof key)
        abort();
    return key;
}

static struct siphash_key key_of(struct slice secret)
{
    static const struct siphash_key first = { 1, 2 }, second = { 3, 4 };
    if (!secret.len)
        return own_key();
    return (struct siphash_key){ siphash(first, secret), siphash(second, secret) };
}

static int compare(const void *a, const void *b)
{
    const struct token *p = a, *q = b;
    return (p->value > q->value) - (p->value < q->value);
}

struct seats *seats_new(const struct service *s, struct arena *a)
{
    struct seats *all = arena_zero(a, sizeof *all);
    struct siphash_key key = key_of(s->settings.sticky_secret);
    all->count = s->node_count;
    all->sorted = arena_alloc(a, (s->node_count + 1) * sizeof *all->sorted);
    all->by_index = arena_alloc(a, (s->node_count + 1) * sizeof *all->by_index);
    for (uint32_t i = 0; i < s->node_count; i++) {
        uint64_t value = siphash(key, slice_make(s->nodes[i]->text, s->nodes[i]->text_len));
        all->sorted[i] = (struct token){ value, (uint16_t)i };
        all->by_index[i] = value;
    }
    qsort(all->sorted, all->count, sizeof *all->sorted, compare);
    return all;
}

/* -- loops -- */

static bool read_token(struct slice text, uint64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    *out = 0;
    if (text.len != TOKEN_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits, text.at[i], 16);
        if (!digit)
            return false;
        *out = *out << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

static int find(const struct seats *all, struct slice text)
{
    struct token wanted = { 0 };
    if (!read_token(text, &wanted.value))
        return -1;
    const struct token *found = bsearch(&wanted, all->sorted, all->count, sizeof *all->sorted, compare);
    return found ? found->index : -1;
}

struct node *seats_pick(struct exchange *x)
{
    struct slice text;
    struct node *n = NULL;
    int index = -1;
    if (cookie_of_request(&x->req, x->service->settings.sticky_cookie, &text))
        index = find(x->service->seats, text);
    if (index >= 0)
        n = balancer_take(&x->pick, x->service, (uint32_t)index, x->plane->index, x->plane->loop->clock.now_ms);
    x->sticks = n != NULL;
    return n;
}

static char *put(char *at, struct slice s)
{
    memcpy(at, s.at, s.len);
    return at + s.len;
}

void seats_set_cookie(struct exchange *x)
{
    enum { ROOM = 128 };                /* for all but the name */
    const struct service *s = x->service;
    if (x->sticks || x->adhoc || x->res.status < 101 || (x->res.status > 101 && x->res.status < 200))
        return;
    uint32_t index = 0;
    while (index < s->node_count && s->nodes[index] != x->node)
        index++;
    if (index == s->node_count)
        return;
    char *value = arena_alloc(&x->req.arena, s->settings.sticky_cookie.len + ROOM), *at = value;
    at = put(at, s->settings.sticky_cookie);
    *at++ = '=';
    for (int i = TOKEN_DIGITS - 1; i >= 0; i--)
        *at++ = "0123456789abcdef"[s->seats->by_index[index] >> (4 * i) & 15];
    at = put(at, SLICE_OF("; Path=/; HttpOnly; SameSite=Lax"));
    if (s->settings.sticky_max_age_s) {
        at = put(at, SLICE_OF("; Max-Age="));
        at += format_u64(at, s->settings.sticky_max_age_s);
    }
    if (x->req.is_tls)
        at = put(at, SLICE_OF("; Secure"));
    headers_add(&x->res.headers, &x->req.arena, HEADER_SET_COOKIE, header_name(HEADER_SET_COOKIE),
                slice_make(value, (size_t)(at - value)));
}
