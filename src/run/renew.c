/* renew: a service whose names have other addresses now, or whose source has found others, gets other nodes, in all
 * loops, while the configuration and all other services stay as they are. */
#include <stdlib.h>

#include "base/log.h"
#include "proxy/drain.h"
#include "proxy/source_dns.h"
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
    sources_look();
    names_start();                      /* those that a source has found */
    for (uint32_t i = 0; g && i < g->service_count; i++)
        if (service_slot_has_news(g->services[i]))
            renew(c, g->services[i]);
    names_settle();
    sources_settle();
}

/* What changes at the same time is one change. */
static void on_changed(void)
{
    struct control *c = the_control;
    if (!c)
        return;
    loop_deadline(c->loop, &c->renewing, c->loop->clock.now_ms + 1);
}

void renew_open(struct control *c)
{
    c->renewing.fire = on_renewing;
    service_on_unused(on_unused);
    names_open(c->loop, on_changed);
    sources_open(on_changed);
    source_register(&source_dns);
    source_files_open(c);
}

void renew_close(struct control *c)
{
    service_on_unused(NULL);
    deadline_remove(&c->loop->deadlines, &c->renewing);
    source_files_close();
}

void renew_begin(const struct generation *g)
{
    const struct resolver_settings *r = &g->gateway.resolver;
    struct name_settings s = {
        .servers = r->servers.at,
        .min_ttl_ms = r->min_ttl_ms, .max_ttl_ms = r->max_ttl_ms, .timeout_ms = r->timeout_ms,
    };
    names_use(&s);
    sources_start();
    source_files_start();
    for (uint64_t now = clock_us() / 1000, end = now + r->timeout_ms; now < end; now = clock_us() / 1000) {
        names_start();
        if (names_are_heard())
            return;
        names_wait((uint32_t)(end - now));
        sources_look();
    }
}
