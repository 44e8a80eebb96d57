#include "proxy/source.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/balancer.h"

enum { KINDS_MAX = 8, WHY_MAX = 400, BLOCK = 1024 };

struct wishes {
    struct arena arena;
    struct node_wish *at;
    uint32_t count;
};

struct source {
    struct link in_all;
    const struct source_kind *kind;     /* NULL: not started */
    unsigned refs;
    char *kind_name, *words;
    void *own;
    struct wishes now, next;
    bool is_news;
    uint64_t good_ms;
    uint32_t failures;
    char why[WHY_MAX];
};

static const struct source_kind *kinds[KINDS_MAX];
static struct link all = { &all, &all };
static void (*on_change)(void);

void source_register(const struct source_kind *kind)
{
    for (int i = 0; i < KINDS_MAX; i++) {
        if (kinds[i] && kinds[i] != kind)
            continue;
        kinds[i] = kind;
        return;
    }
    abort();
}

/* -- wishes -- */

bool wish_make(struct node_wish *w, const struct node_settings *s)
{
    struct addr a;
    *w = (struct node_wish){ .settings = *s };
    if (s->is_unix)
        return addr_set_unix(s->host, &a);
    if (addr_parse_ip(s->host, s->port, &a))
        return true;
    w->name = name_want(s->host, NAME_HOST);
    return w->name != NULL;
}

void wish_drop(struct node_wish *w)
{
    if (w->name)
        name_drop(w->name);
    w->name = NULL;
}

static void forget(struct wishes *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        wish_drop(&w->at[i]);
    arena_free(&w->arena);
    *w = (struct wishes){ 0 };
    arena_init(&w->arena, BLOCK);
}

static bool is_same_wish(const struct node_settings *a, const struct node_settings *b)
{
    return slice_equal(a->host, b->host) && a->port == b->port && a->is_unix == b->is_unix && a->backup == b->backup &&
           a->weight == b->weight;
}

static bool is_same(const struct wishes *a, const struct wishes *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!is_same_wish(&a->at[i].settings, &b->at[i].settings))
            return false;
    return true;
}

/* -- for services -- */

struct source *source_find(const char *kind, const char *words)
{
    for (struct link *l = all.next; l != &all; l = l->next) {
        struct source *s = LINK_OWNER(l, struct source, in_all);
        if (strcmp(s->kind_name, kind) == 0 && strcmp(s->words, words) == 0)
            return s;
    }
    return NULL;
}

static char *copy(struct slice text)
{
    char *made = strndup(text.at, text.len);
    if (!made)
        abort();
    return made;
}

struct source *source_want(struct slice kind, struct slice words)
{
    char *kind_name = copy(kind), *text = copy(words);
    struct source *s = source_find(kind_name, text);
    if (s) {
        free(kind_name);
        free(text);
    } else {
        s = calloc(1, sizeof *s);
        if (!s)
            abort();
        s->kind_name = kind_name;
        s->words = text;
        arena_init(&s->now.arena, BLOCK);
        arena_init(&s->next.arena, BLOCK);
        list_append(&all, &s->in_all);
    }
    s->refs++;
    return s;
}

void source_drop(struct source *s)
{
    if (--s->refs)
        return;
    if (s->kind)
        s->kind->stop(s);
    link_remove(&s->in_all);
    forget(&s->now);
    forget(&s->next);
    free(s->kind_name);
    free(s->words);
    free(s);
}

const struct node_wish *source_wishes(const struct source *s, uint32_t *count)
{
    *count = s->now.count;
    return s->now.at;
}

bool source_has_news(const struct source *s)
{
    bool is_news = s->is_news;
    for (uint32_t i = 0; i < s->now.count && !is_news; i++)
        is_news = wish_has_news(&s->now.at[i]);
    return is_news;
}

/* -- for kinds -- */

const char *source_words(const struct source *s) { return s->words; }
void **source_own(struct source *s) { return &s->own; }

void source_begin(struct source *s) { forget(&s->next); }

struct node_settings *source_add(struct source *s)
{
    struct wishes *w = &s->next;
    if ((w->count & (w->count - 1)) == 0) {     /* grows by doubling */
        struct node_wish *grown = arena_zero(&w->arena, (w->count ? 2 * w->count : 1) * sizeof *grown);
        if (w->count)
            memcpy(grown, w->at, w->count * sizeof *grown);
        w->at = grown;
    }
    struct node_wish *made = &w->at[w->count++];
    made->settings.weight = 1;
    made->settings.enabled = true;
    return &made->settings;
}

struct slice source_text(struct source *s, struct slice text) { return arena_copy(&s->next.arena, text); }

static void take_next(struct source *s)
{
    struct wishes *w = &s->next;
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        struct node_settings wish = w->at[i].settings;
        if (n < BALANCER_TURNS_MAX && wish_make(&w->at[n], &wish))
            n++;
        else
            log_warn("discovery", "a node is left out", "from", s->words, "node", log_slice(wish.host));
    }
    w->count = n;
    forget(&s->now);
    s->now = *w;
    s->next = (struct wishes){ 0 };
    arena_init(&s->next.arena, BLOCK);
}

/* For people: the name, or the file without the protocol before it. */
static const char *from(const struct source *s)
{
    const char *space = strchr(s->words, ' ');
    return space ? space + 1 : s->words;
}

void source_give(struct source *s)
{
    s->good_ms = clock_wall_us() / 1000;
    if (s->failures)
        log_info("discovery", "nodes can be found again", "from", from(s));
    s->failures = 0;
    s->why[0] = '\0';
    if (is_same(&s->now, &s->next)) {
        s->next.count = 0;                      /* their names were not asked for */
        return;
    }
    take_next(s);
    s->is_news = true;
    if (on_change)
        on_change();
}

void source_fail(struct source *s, const char *why)
{
    s->next.count = 0;
    s->failures++;
    if (strncmp(s->why, why, sizeof s->why - 1) == 0)
        return;
    snprintf(s->why, sizeof s->why, "%s", why);
    log_error("discovery", "nodes cannot be found", "from", from(s), "why", s->why, "in_force",
              s->good_ms ? "those that were found last" : "none: there never were any");
}

/* -- for the control thread -- */

void sources_open(void (*changed)(void)) { on_change = changed; }

static const struct source_kind *kind_of(const char *name)
{
    for (int i = 0; i < KINDS_MAX && kinds[i]; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

void sources_start(void)
{
    for (struct link *l = all.next; l != &all; l = l->next) {
        struct source *s = LINK_OWNER(l, struct source, in_all);
        if (s->kind || !kind_of(s->kind_name))
            continue;
        s->kind = kind_of(s->kind_name);
        s->kind->start(s);
    }
}

void sources_look(void)
{
    for (struct link *l = all.next; l != &all; l = l->next) {
        struct source *s = LINK_OWNER(l, struct source, in_all);
        if (s->kind && s->kind->look)
            s->kind->look(s);
    }
}

void sources_settle(void)
{
    for (struct link *l = all.next; l != &all; l = l->next)
        LINK_OWNER(l, struct source, in_all)->is_news = false;
}

struct source *sources_next(const struct source_kind *kind, const struct source *s)
{
    for (struct link *l = s ? s->in_all.next : all.next; l != &all; l = l->next)
        if (LINK_OWNER(l, struct source, in_all)->kind == kind)
            return LINK_OWNER(l, struct source, in_all);
    return NULL;
}

bool source_report(uint32_t index, struct source_report *out)
{
    struct link *l = all.next;
    while (l != &all && index--)
        l = l->next;
    if (l == &all)
        return false;
    const struct source *s = LINK_OWNER(l, const struct source, in_all);
    *out = (struct source_report){ s->kind_name, s->words, s->now.count, s->good_ms, s->failures, s->why };
    return true;
}
