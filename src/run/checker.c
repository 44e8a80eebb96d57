#include "run/checker.h"

#include <stdlib.h>
#include <sys/random.h>

#include "proxy/probe.h"

enum { FIRST_MS = 500 };                /* the first checks are spread over this time, or over a shorter interval */

struct check {
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
    struct check *checks;
    uint32_t count;
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
    struct check *k = &c->checks[c->count++];
    uint64_t now = c->loop->clock.now_ms, interval = s->settings.active.interval_ms;
    uint64_t known = n->state->check_due_ms, spread = interval < FIRST_MS ? interval : FIRST_MS;
    *k = (struct check){ .owner = c, .service = s, .node = n, .due.fire = on_due };
    n->state->is_checked = true;
    /* A reload neither delays the next check nor asks all nodes at once. */
    arm(k, known > now && known <= now + interval ? known : now + part_of(c, spread));
}

static void end_all(struct checker *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct check *k = &c->checks[i];
        if (k->probe.runs)
            k->node->state->check_due_ms = 0;           /* it is made again */
        probe_cancel(&k->probe);
        deadline_remove(&c->loop->deadlines, &k->due);
        k->node->state->is_checked = false;
    }
    free(c->checks);
    c->checks = NULL;
    c->count = 0;
}

/* -- the end of ejections -- */

static void look(struct checker *c)
{
    const struct generation *g = c->generation;
    uint64_t now = c->loop->clock.now_ms, next = UINT64_MAX;
    for (uint32_t i = 0; g && i < g->service_count; i++) {
        const struct service *s = g->services[i];
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
    if (getrandom(&c->random, sizeof c->random, 0) != sizeof c->random)
        c->random = clock_us();
    freelist_init(&c->ups, sizeof(struct up), 8);
    the_checker = c;
    health_on_eject(on_eject);
    return c;
}

void checker_use(struct checker *c, struct generation *g)
{
    bool is_first = !c->generation;
    uint32_t most = 0;
    end_all(c);
    c->generation = g;
    for (uint32_t i = 0; i < g->service_count; i++)
        most += g->services[i]->settings.active.is_on ? g->services[i]->node_count : 0;
    c->checks = calloc(most + 1, sizeof *c->checks);
    if (!c->checks)
        abort();
    for (uint32_t i = 0; i < g->service_count; i++) {
        const struct service *s = g->services[i];
        for (uint32_t k = 0; k < s->node_count; k++) {
            struct node_state *n = s->states[k];
            /* Nodes that join others which are at work already start slowly; those of a new service do not. */
            bool is_new = (!n->is_known || n->is_leaving) && !is_first && s->state->is_published;
            health_settle(s, n, c->loop->clock.now_ms, is_new);
            n->is_known = true;
            if (s->settings.active.is_on && !n->is_checked)
                begin(c, s, s->nodes[k]);
        }
        s->state->is_published = true;
        breaker_settle(&s->state->breaker, &s->settings.breaker);
    }
    look(c);
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
