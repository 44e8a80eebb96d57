/* renew: a service whose names have other addresses now gets other nodes, in all loops, while the configuration and all
 * other services stay as they are. */
#include <stdlib.h>

#include "base/log.h"
#include "proxy/drain.h"
#include "run/control_state.h"

/* A service that nobody uses any more; loops may be the last, but nodes belong to the control thread. */
struct unused { struct job job; struct service *service; };

static void run_unused(struct loop *loop, struct job *job)
{
    (void)loop;
    service_free(((struct unused *)(void *)job)->service);
    free(job);
}

static void on_unused(struct service *s)
{
    struct unused *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    u->job.run = run_unused;
    u->service = s;
    loop_post(the_control->loop, &u->job);
}

static void renew(struct control *c, struct service_slot *slot)
{
    struct service *old = slot->newest, *made = service_slot_renew(slot);
    if (!made)
        return;
    checker_renew(c->checker, old, made);
    drain_keep(made);
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_swap_service(&c->loops[i], slot, made);
    log_info("control", "a service has other nodes", "service", log_slice(slot->settings.name), "nodes",
             log_number(made->node_count), "before", log_number(old->node_count));
    drain_leave(old, publish_close_idle);
    service_drop(old);
}

static void on_renewing(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, renewing);
    struct generation *g = c->generation;
    for (uint32_t i = 0; g && i < g->service_count; i++)
        if (service_slot_has_news(g->services[i]))
            renew(c, g->services[i]);
    names_settle();
}

/* Names that change at the same time are one change. */
static void on_changed(void)
{
    struct control *c = the_control;
    loop_deadline(c->loop, &c->renewing, c->loop->clock.now_ms + 1);
}

void renew_open(struct control *c)
{
    c->renewing.fire = on_renewing;
    service_on_unused(on_unused);
    names_open(c->loop, on_changed);
}

void renew_close(struct control *c)
{
    service_on_unused(NULL);
    deadline_remove(&c->loop->deadlines, &c->renewing);
}

void renew_begin(const struct generation *g)
{
    const struct resolver_settings *r = &g->gateway.resolver;
    struct name_settings s = {
        .servers = r->servers.at,
        .min_ttl_ms = r->min_ttl_ms, .max_ttl_ms = r->max_ttl_ms, .timeout_ms = r->timeout_ms,
    };
    names_use(&s);
    names_wait(r->timeout_ms);
}
