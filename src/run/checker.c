#include "run/checker.h"

#include <stdlib.h>
#include <sys/random.h>

#include "proxy/probe.h"

enum { FIRST_MS = 500 };                /* the first checks are spread over this time, or over a shorter interval */

struct check {
    struct link in_all;
    struct probe probe;
    struct deadline due;
    struct checker *owner;
    const struct service *service;
    const struct node *node;
};

struct checker {
    struct loop *loop;
    struct freelist ups;
    struct generation *generation;
    struct link checks;                 /* struct check.in_all */
    struct deadline tick;
    uint64_t random;
};

static struct checker *the_checker;     /* one per process: ejections are told from any thread */

/* A part of a time, at random. */
static uint64_t part_of(struct checker *c, uint64_t ms)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return (c->random >> 33) * ms >> 31;
}

/* -- checks -- */

static void arm(struct check *k, uint64_t due_ms)
{
    k->node->state->check_due_ms = due_ms;
    loop_deadline(k->owner->loop, &k->due, due_ms);
}

static void on_probed(struct probe *p)
{
    struct check *k = LINK_OWNER(p, struct check, probe);
    health_checked(k->service, k->node->state, &p->result, k->owner->loop->clock.now_ms);
}

/* A tenth of the interval more or less, so that checks of many gateways do not fall together. */
static void on_due(struct deadline *d)
{
    struct check *k = LINK_OWNER(d, struct check, due);
    struct checker *c = k->owner;
    uint64_t interval = k->service->settings.active.interval_ms;
    uint64_t next = c->loop->clock.now_ms + interval - interval / 10 + part_of(c, interval / 5);
    if (!k->probe.runs)
        probe_start(&k->probe, c->loop, &c->ups, k->service, k->node, on_probed);
    arm(k, next);
}

static void begin(struct checker *c, const struct service *s, const struct node *n)
{
    struct check *k = malloc(sizeof *k);
    if (!k)
        abort();
    uint64_t now = c->loop->clock.now_ms, interval = s->settings.active.interval_ms;
    uint64_t known = n->state->check_due_ms, spread = interval < FIRST_MS ? interval : FIRST_MS;
    *k = (struct check){ .owner = c, .service = s, .node = n, .due.fire = on_due };
    list_append(&c->checks, &k->in_all);
    n->state->is_checked = true;
    /* A reload neither delays the next check nor asks all nodes at once. */
    arm(k, known > now && known <= now + interval ? known : now + part_of(c, spread));
}

static void end_one(struct check *k)
{
    if (k->probe.runs)
        k->node->state->check_due_ms = 0;               /* it is made again */
    probe_cancel(&k->probe);
    deadline_remove(&k->owner->loop->deadlines, &k->due);
    k->node->state->is_checked = false;
    link_remove(&k->in_all);
    free(k);
}

static void end_all(struct checker *c)
{
    while (!list_is_empty(&c->checks))
        end_one(LINK_OWNER(c->checks.next, struct check, in_all));
}

static bool has_node(const struct service *s, const struct node *n)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->nodes[i] == n)
            return true;
    return false;
}

/* Checks of nodes that stay go on, also those that are under way: names may change more often than a check takes. */
static void hand_over(struct checker *c, const struct service *old, const struct service *s)
{
    for (struct link *l = c->checks.next, *next; l != &c->checks; l = next) {
        struct check *k = LINK_OWNER(l, struct check, in_all);
        next = l->next;
        if (k->service != old)
            continue;
        if (!has_node(s, k->node)) {
            end_one(k);
            continue;
        }
        k->service = s;
        if (k->probe.runs)
            k->probe.service = s;
    }
}

/* -- the end of ejections -- */

static void look(struct checker *c)
{
    const struct generation *g = c->generation;
    uint64_t now = c->loop->clock.now_ms, next = UINT64_MAX;
    for (uint32_t i = 0; g && i < g->service_count; i++) {
        const struct service *s = g->services[i]->newest;
        for (uint32_t k = 0; s->settings.passive.is_on && k < s->node_count; k++) {
            uint64_t due = health_tick(s->states[k], now);
            next = due < next ? due : next;
        }
    }
    if (next != UINT64_MAX)
        loop_deadline(c->loop, &c->tick, next);
}

static void on_tick(struct deadline *d) { look(LINK_OWNER(d, struct checker, tick)); }

static void run_look(struct loop *loop, struct job *job)
{
    (void)loop;
    free(job);
    if (the_checker)
        look(the_checker);
}

static void on_eject(void)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->run = run_look;
    loop_post(the_checker->loop, j);
}

/* -- from outside -- */

struct checker *checker_new(struct loop *loop)
{
    struct checker *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->loop = loop;
    c->tick.fire = on_tick;
    list_init(&c->checks);
    if (getrandom(&c->random, sizeof c->random, 0) != sizeof c->random)
        c->random = clock_us();
    freelist_init(&c->ups, sizeof(struct up), 8);
    the_checker = c;
    health_on_eject(on_eject);
    return c;
}

/* Nodes that join others which are at work already start slowly; those of a new service do not. */
static void use_nodes(struct checker *c, const struct service *s, bool is_first)
{
    for (uint32_t k = 0; k < s->node_count; k++) {
        struct node_state *n = s->states[k];
        bool is_new = (!n->is_known || n->is_leaving) && !is_first && s->state->is_published;
        health_settle(s, n, c->loop->clock.now_ms, is_new);
        n->is_known = true;
        if (s->settings.active.is_on && !n->is_checked)
            begin(c, s, s->nodes[k]);
    }
    s->state->is_published = true;
}

void checker_use(struct checker *c, struct generation *g)
{
    bool is_first = !c->generation;
    end_all(c);
    c->generation = g;
    for (uint32_t i = 0; i < g->service_count; i++) {
        const struct service *s = g->services[i]->newest;
        use_nodes(c, s, is_first);
        breaker_settle(&s->state->breaker, &s->settings.breaker);
    }
    for (uint32_t i = 0; i < g->route_count; i++)
        if (g->routes[i]->state)
            breaker_settle(&g->routes[i]->state->breaker, &g->routes[i]->settings.breaker);
    look(c);
}

/* Of nodes that stay, what is known stays: their windows are not begun anew. */
void checker_renew(struct checker *c, const struct service *old, const struct service *s)
{
    hand_over(c, old, s);
    for (uint32_t k = 0; k < s->node_count; k++) {
        struct node_state *n = s->states[k];
        if (!n->is_known || n->is_leaving)
            health_settle(s, n, c->loop->clock.now_ms, old->node_count > 0);
        n->is_known = true;
        if (s->settings.active.is_on && !n->is_checked)
            begin(c, s, s->nodes[k]);
    }
}

void checker_stop(struct checker *c)
{
    health_on_eject(NULL);
    end_all(c);
    deadline_remove(&c->loop->deadlines, &c->tick);
    the_checker = NULL;
}

void checker_free(struct checker *c)
{
    freelist_free(&c->ups);
    free(c);
}
