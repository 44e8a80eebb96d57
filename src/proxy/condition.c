#include "proxy/condition.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/regex.h"
#include "http/cookie.h"
#include "http/h1_hop.h"

enum { NUMBER_MAX = 64 };       /* bytes of a text that can be a number */

/* -- words -- */

/* By length, then by bytes. What is fold has its words in small letters. */
static int compare(struct slice value, struct slice word, bool fold)
{
    if (value.len != word.len)
        return value.len < word.len ? -1 : 1;
    if (!fold)
        return value.len ? memcmp(value.at, word.at, value.len) : 0;
    for (size_t i = 0; i < value.len; i++) {
        int d = byte_lower((unsigned char)value.at[i]) - (unsigned char)word.at[i];
        if (d)
            return d;
    }
    return 0;
}

static int compare_words(const void *a, const void *b)
{
    return compare(*(const struct slice *)a, *(const struct slice *)b, false);
}

static bool is_among(const struct question *q, struct slice value)
{
    uint32_t low = 0, high = q->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int d = compare(value, q->words[middle], q->settings.fold);
        if (d == 0)
            return true;
        if (d < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static bool has_at(struct slice value, size_t at, struct slice word, bool fold)
{
    return value.len >= at + word.len && compare(slice_make(value.at + at, word.len), word, fold) == 0;
}

static bool has_within(struct slice value, struct slice word, bool fold)
{
    if (!fold)
        return word.len <= value.len && memmem(value.at, value.len, word.at, word.len) != NULL;
    for (size_t at = 0; at + word.len <= value.len; at++)
        if (has_at(value, at, word, fold))
            return true;
    return false;
}

/* Digits, maybe a minus before and a fraction behind: nothing that a header should not be taken for by surprise. */
static bool to_number(struct slice s, double *out)
{
    char text[NUMBER_MAX + 1];
    size_t i = s.len && s.at[0] == '-', start = i;
    if (s.len > NUMBER_MAX)
        return false;
    while (i < s.len && s.at[i] >= '0' && s.at[i] <= '9')
        i++;
    if (i == start)
        return false;
    if (i < s.len && s.at[i] == '.')
        for (i++; i < s.len && s.at[i] >= '0' && s.at[i] <= '9';)
            i++;
    if (i < s.len)
        return false;
    memcpy(text, s.at, s.len);
    text[s.len] = 0;
    *out = strtod(text, NULL);
    return true;
}

/* -- building -- */

struct condition *condition_new(struct arena *a, uint32_t cap)
{
    struct condition *c = arena_zero(a, sizeof *c);
    c->cap = cap;
    c->questions = arena_zero(a, cap * sizeof *c->questions);
    return c;
}

struct question *condition_add(struct condition *c)
{
    assert(c->count < c->cap);
    return &c->questions[c->count++];
}

static enum rc add_network(struct question *q, struct arena *a, struct slice text, char *why, size_t size)
{
    if (!q->networks)
        q->networks = arena_alloc(a, q->settings.words * sizeof *q->networks);
    if (network_parse(text, &q->networks[q->count])) {
        q->count++;
        return RC_OK;
    }
    snprintf(why, size, "expected a network, found \"%.*s\"", (int)text.len, text.at);
    return RC_MALFORMED;
}

static enum rc add_pattern(struct question *q, struct slice text, char *why, size_t size)
{
    struct regex_error e;
    enum rc rc = regex_compile(text, q->settings.fold ? REGEX_NOCASE : 0, &q->regex, &e);
    if (rc != RC_OK)
        snprintf(why, size, "%s", e.text);
    return rc;
}

enum rc question_add(struct question *q, struct arena *a, struct slice text, char *why, size_t size)
{
    assert(q->count < q->settings.words);
    if (q->settings.test == TEST_MATCHES)
        return add_pattern(q, text, why, size);
    if (q->settings.test == TEST_CIDR)
        return add_network(q, a, text, why, size);
    if (!q->words)
        q->words = arena_alloc(a, q->settings.words * sizeof *q->words);
    q->words[q->count++] = arena_copy(a, text);
    return RC_OK;
}

static bool leads_on(const struct condition *c, int32_t from, int32_t to)
{
    return to == QUESTION_HOLDS || to == QUESTION_FAILS || (to > from && to < (int32_t)c->count);
}

void condition_finish(struct condition *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct question *q = &c->questions[i];
        assert(leads_on(c, (int32_t)i, q->settings.yes) && leads_on(c, (int32_t)i, q->settings.no));
        q->header_id = q->settings.subject == SUBJECT_HEADER ? header_id_of(q->settings.name) : HEADER_UNKNOWN;
        if (q->settings.test == TEST_IN)
            qsort(q->words, q->count, sizeof *q->words, compare_words);
    }
}

void condition_free(struct condition *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        regex_free(c->questions[i].regex);
}

/* -- asking -- */

/* ::ffff:0:0/96 is IPv4: RFC 4291 section 2.5.5.2. */
static struct peer plain(const struct peer *p)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct peer v4 = { .family = AF_INET };
    if (p->family != AF_INET6 || memcmp(p->ip, mapped, sizeof mapped) != 0)
        return *p;
    memcpy(v4.ip, p->ip + 12, 4);
    return v4;
}

static bool is_within(const struct question *q, const struct peer *peer)
{
    struct peer p = plain(peer);
    for (uint32_t i = 0; i < q->count; i++)
        if (network_has(&q->networks[i], &p))
            return true;
    return false;
}

static bool is_address_within(const struct question *q, struct slice text)
{
    struct peer p;
    return text.len && text.at[0] != '[' && peer_parse(text, &p) && is_within(q, &p);
}

static bool matches(const struct question *q, struct slice value, struct facts *f)
{
    enum rc rc = regex_match(q->regex, value, NULL, 0);
    if (rc == RC_LIMIT)
        f->stuck = q;
    return rc == RC_OK;
}

static bool fits(const struct question *q, struct slice value, struct facts *f)
{
    const struct question_settings *s = &q->settings;
    struct slice word = q->words ? q->words[0] : SLICE_NONE;
    double number;
    switch ((enum test)s->test) {
    case TEST_EXISTS: return true;
    case TEST_IN: return is_among(q, value);
    case TEST_PREFIX: return has_at(value, 0, word, s->fold);
    case TEST_SUFFIX: return value.len >= word.len && has_at(value, value.len - word.len, word, s->fold);
    case TEST_CONTAINS: return has_within(value, word, s->fold);
    case TEST_GT: return to_number(value, &number) && number > s->bound;
    case TEST_LT: return to_number(value, &number) && number < s->bound;
    case TEST_MATCHES: return matches(q, value, f);
    case TEST_CIDR: return is_address_within(q, value);
    }
    return false;
}

static bool is_named(const struct question *q, const struct header *h)
{
    return h->id == q->header_id && (q->header_id || slice_equal_nocase(h->name, q->settings.name));
}

/* What plugins see: not what they have taken out, but hop-by-hop fields, which are still what the client said. */
static bool is_visible(const struct header *h)
{
    return !h->removed && (!h->skip || h1_is_hop_by_hop((enum header_id)h->id));
}

/* Of several fields of the name one has to fit. */
static bool header_fits(const struct question *q, struct facts *f)
{
    const struct headers *list = &f->request->headers;
    if (q->header_id == HEADER_HOST)
        return f->request->authority.at && fits(q, f->request->authority, f);
    uint32_t first = q->header_id ? list->first[q->header_id] : 1;
    for (uint32_t i = first ? first - 1 : list->count; i < list->count; i++)
        if (is_named(q, &list->at[i]) && is_visible(&list->at[i]) && fits(q, list->at[i].value, f))
            return true;
    return false;
}

static bool argument_fits(const struct question *q, struct facts *f)
{
    if (!f->has_query) {
        f->has_query = true;
        (void)query_parse(f->request->query, f->arena, &f->query);      /* a broken one has no arguments */
    }
    const struct argument *arg = query_find(&f->query, q->settings.name);
    return arg && fits(q, arg->value, f);
}

static bool cookie_fits(const struct question *q, struct facts *f)
{
    struct slice value;
    return cookie_of_request(f->request, q->settings.name, &value) && fits(q, value, f);
}

static bool text_fits(const struct question *q, struct slice value, struct facts *f)
{
    return value.at && fits(q, value, f);
}

static bool subject_fits(const struct question *q, struct facts *f)
{
    const struct request *r = f->request;
    switch ((enum subject)q->settings.subject) {
    case SUBJECT_HEADER: return header_fits(q, f);
    case SUBJECT_QUERY: return argument_fits(q, f);
    case SUBJECT_COOKIE: return cookie_fits(q, f);
    case SUBJECT_CLIENT_IP: return is_within(q, f->client);
    case SUBJECT_PATH: return text_fits(q, r->path, f);
    case SUBJECT_HOST: return text_fits(q, r->host, f);
    case SUBJECT_METHOD: return text_fits(q, r->method_text, f);
    case SUBJECT_SCHEME: return fits(q, r->is_tls ? SLICE_OF("https") : SLICE_OF("http"), f);
    case SUBJECT_TLS: return r->tls_version != NULL;
    case SUBJECT_SNI: return r->tls_name && fits(q, slice_text(r->tls_name), f);
    }
    return false;
}

const struct question *condition_objection(const struct condition *c, struct facts *f)
{
    for (int32_t i = 0;;) {
        const struct question *q = &c->questions[i];
        bool answer = subject_fits(q, f);
        if (q->settings.test == TEST_EXISTS)
            answer = answer == q->settings.wanted;
        i = answer ? q->settings.yes : q->settings.no;
        if (f->stuck)
            return f->stuck;
        if (i < 0)
            return i == QUESTION_HOLDS ? NULL : q;
    }
}
