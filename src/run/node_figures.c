/* node_figures: the calls of api.h that tell about nodes. Control thread. */
#include "lua/api.h"
#include "proxy/drain.h"
#include "proxy/generation.h"
#include "run/control.h"

static const struct service *service_at(int index)
{
    const struct generation *g = control_generation();
    return g && index >= 0 && (uint32_t)index < g->service_count ? g->services[index]->newest : NULL;
}

static struct node_state *state_at(const struct service *s, int index)
{
    return s && index >= 0 && (uint32_t)index < s->node_count ? s->states[index] : NULL;
}

/* Why the node is as it is; where nobody ever said so, whether anybody would. */
static struct slice reason_of(const struct service *s, const struct health *h)
{
    const struct passive_settings *p = &s->settings.passive;
    uint32_t failures = atomic_load_explicit(&h->failures, memory_order_relaxed);
    if (health_is_good(h) && p->is_on && p->failures && failures >= p->failures)
        return SLICE_OF("it fails, but no more nodes may be ejected: max_ejected");
    if (!h->changes && !p->is_on && !s->settings.active.is_on)
        return SLICE_OF("no health_check");
    return slice_text(h->reason);       /* others may write another one now; it ends with a NUL for ever */
}

static void read_health(const struct service *s, struct health *h, struct tide_node *out)
{
    out->state = health_word(h, s->settings.slow_start_ms, clock_us() / 1000);
    out->usable = health_is_good(h);
    out->failures = atomic_load_explicit(&h->failures, memory_order_relaxed);
    lock_take(&h->lock);
    out->since = (double)h->since_ms / 1000;
    out->ejections = h->ejections;
    out->changes = h->changes;
    out->checks = h->result_count;
    lock_leave(&h->lock);
    out->reason = reason_of(s, h);
}

static void read_supply(struct supply *v, struct tide_node *out)
{
    lock_take(&v->gate.lock);
    out->open = v->gate.used;
    out->max_open = v->gate.limit;
    out->waiting = v->gate.waits;
    out->waited = (double)v->gate.waited;
    out->turned_away = (double)v->gate.refused;
    lock_leave(&v->gate.lock);
}

bool tide_node_read(int service, int node, struct tide_node *out, bool *more)
{
    const struct service *s = service_at(service);
    struct node_state *n = state_at(s, node);
    *more = s != NULL;
    *out = (struct tide_node){ 0 };
    if (!n)
        return false;
    out->service = s->settings.name;
    out->address = slice_text(n->text);
    out->backup = s->backups[node];
    out->weight = s->weights[node];
    out->active = atomic_load_explicit(&n->active, memory_order_relaxed);
    out->failed = (double)atomic_load_explicit(&n->failed, memory_order_relaxed);
    read_health(s, &n->health, out);
    read_supply(n->supply, out);
    return true;
}

bool tide_draining_read(int index, struct tide_node *out)
{
    struct node_state *n = drain_look(index);
    *out = (struct tide_node){ 0 };
    if (!n)
        return false;
    out->service = n->service->name;
    out->address = slice_text(n->text);
    out->active = atomic_load_explicit(&n->active, memory_order_relaxed);
    out->failed = (double)atomic_load_explicit(&n->failed, memory_order_relaxed);
    out->state = "draining";
    out->since = (double)n->left_ms / 1000;
    out->reason = SLICE_OF("no longer in the configuration, or not enabled");
    read_supply(n->supply, out);
    return true;
}

bool tide_source_read(int index, struct tide_source *out)
{
    struct source_report r;
    if (index < 0 || !source_report((uint32_t)index, &r))
        return false;
    *out = (struct tide_source){ r.kind, r.words, r.why, r.count, r.failures, (double)r.good_ms / 1000 };
    return true;
}

struct source *tide_source_begin(const char *kind, const char *words)
{
    struct source *s = source_find(kind, words);
    if (s)
        source_begin(s);
    return s;
}

struct node_settings *tide_source_add(struct source *s, const char *host, size_t len)
{
    struct node_settings *n = source_add(s);
    n->host = source_text(s, slice_make(host, len));
    return n;
}

void tide_source_give(struct source *s) { source_give(s); }
void tide_source_fail(struct source *s, const char *why) { source_fail(s, why); }

bool tide_name_read(int index, struct tide_name *out)
{
    struct name_report r;
    if (index < 0 || !name_report((uint32_t)index, &r))
        return false;
    *out = (struct tide_name){
        .name = r.text, .why = r.why, .is_service = r.kind == NAME_SERVICE, .count = r.count, .failures = r.failures,
        .good = (double)r.good_ms / 1000, .next = (double)r.next_ms / 1000,
    };
    return true;
}

bool tide_check_read(int service, int node, int back, struct tide_check *out)
{
    const struct node_state *n = state_at(service_at(service), node);
    const struct health *h = n ? &n->health : NULL;
    if (!h || back < 0 || back >= HEALTH_RESULTS || (uint32_t)back >= h->result_count)
        return false;
    const struct check_result *r = &h->results[(h->result_count - 1 - (uint32_t)back) % HEALTH_RESULTS];
    *out = (struct tide_check){ (double)r->wall_ms / 1000, r->took_ms / 1000.0, r->is_good, r->reason };
    return true;
}

static void read_breaker(struct breaker *b, const struct breaker_settings *settings, struct tide_breaker *out)
{
    lock_take(&b->lock);
    uint64_t now_ms = clock_us() / 1000;
    struct window_counts sum = window_sum(&b->window, settings->window_ms, now_ms);
    *out = (struct tide_breaker){
        .name = b->name, .state = breaker_word(b->state), .opened = b->opened, .failures = sum.bad, .requests = sum.all,
    };
    if (b->state == BREAKER_OPEN && b->until_ms > now_ms)
        out->wait = (double)(b->until_ms - now_ms) / 1000;
    lock_leave(&b->lock);
}

bool tide_breaker_read(int index, struct tide_breaker *out, bool *more)
{
    const struct generation *g = control_generation();
    uint32_t services = g ? g->service_count : 0, i = (uint32_t)index;
    *more = g && index >= 0 && i < services + g->route_count;
    *out = (struct tide_breaker){ 0 };
    if (!*more)
        return false;
    if (i < services) {
        const struct service *s = g->services[i]->newest;
        if (s->settings.breaker.is_on)
            read_breaker(&s->state->breaker, &s->settings.breaker, out);
    } else if (g->routes[i - services]->state) {
        const struct route *r = g->routes[i - services];
        read_breaker(&r->state->breaker, &r->settings.breaker, out);
        out->is_route = true;
    }
    return out->state != NULL;
}

bool tide_overload_read(int service, struct tide_overload *out, bool *more)
{
    const struct service *s = service_at(service);
    *more = s != NULL;
    *out = (struct tide_overload){ 0 };
    if (!s || !s->settings.overload.is_on)
        return false;
    struct overload *o = &s->state->overload;
    out->service = s->settings.name;
    lock_take(&o->gate.lock);
    out->adaptive = o->is_adaptive;
    out->requests = o->gate.used;
    out->limit = o->gate.limit;
    out->waiting = o->gate.waits;
    out->waited = (double)o->gate.waited;
    out->turned_away = (double)o->gate.refused;
    lock_leave(&o->gate.lock);
    lock_take(&o->adaptive.lock);
    out->baseline = out->adaptive ? o->adaptive.baseline_us / 1e6 : 0;
    lock_leave(&o->adaptive.lock);
    return true;
}
