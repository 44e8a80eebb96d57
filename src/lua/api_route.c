/* api_route: the calls of api.h that say more about the route added last: what it asks of requests, who gets them. */
#include "lua/api.h"
#include "proxy/generation.h"
#include "proxy/traffic.h"

static struct route *last_route(const struct generation *g) { return g->routes[g->route_count - 1]; }

/* -- conditions -- */

void tide_generation_condition(struct generation *g, uint32_t questions)
{
    last_route(g)->condition = condition_new(&g->arena, questions);
}

struct question_settings *tide_generation_add_question(struct generation *g)
{
    return &condition_add(last_route(g)->condition)->settings;
}

int tide_generation_add_word(struct generation *g, const char *at, size_t len, struct tide_error *e)
{
    struct condition *c = last_route(g)->condition;
    struct question *q = &c->questions[c->count - 1];
    return question_add(q, &g->arena, slice_make(at, len), e->text, sizeof e->text) == RC_OK ? 0 : -1;
}

/* -- several services -- */

void tide_generation_split(struct generation *g, const struct split_settings *settings, uint32_t count)
{
    struct split *s = split_new(&g->arena, count);
    struct slice key = arena_copy(&g->arena, settings->key);
    switch ((enum sticky)settings->sticky) {
    case STICKY_NONE: break;
    case STICKY_COOKIE:
        s->cookie = key;
        s->max_age_s = settings->max_age_s;
        break;
    case STICKY_HEADER:
        s->header = key;
        s->header_id = header_id_of(key);
        break;
    }
    last_route(g)->split = s;
}

void tide_generation_add_share(struct generation *g, int service, uint32_t weight)
{
    const struct route *r = last_route(g);
    struct service_slot *to = g->services[service];
    struct share *share = split_add(r->split, &g->arena, to, to->settings.name, weight);
    share->traffic = traffic_number("route", r->settings.name, to->settings.name);
}

void tide_generation_by_path(struct generation *g, uint32_t segment, int fallback)
{
    struct route *r = last_route(g);
    r->by_path = by_path_new(&g->arena, segment, g->service_count);
    for (uint32_t i = 0; i < g->service_count; i++) {
        struct slice name = g->services[i]->settings.name;
        struct share *share = by_path_add(r->by_path, g->services[i], name, (int)i == fallback);
        share->traffic = traffic_number("route", r->settings.name, name);
    }
}

/* -- another path -- */

int tide_generation_rewrite(struct generation *g, const char *match, size_t match_len, const char *to, size_t to_len,
                            struct tide_error *e)
{
    bool in_match;
    struct rewrite *w = rewrite_new(&g->arena, slice_make(match, match_len), slice_make(to, to_len), &in_match, e->text,
                                    sizeof e->text);
    last_route(g)->rewrite = w;
    return w ? 0 : in_match ? -1 : -2;
}
