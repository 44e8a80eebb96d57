/* publish: a finished generation into all loops, with the listeners that are new in it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/drain.h"
#include "run/control_state.h"
#include "run/watchdog.h"

struct unused { struct job job; struct generation *g; };

static void run_unused(struct loop *loop, struct job *job)
{
    (void)loop;
    generation_free(((struct unused *)(void *)job)->g);
    free(job);
}

/* The last user of a generation may be any loop, but nodes and names belong to the control thread. */
static void on_unused(struct generation *g)
{
    struct unused *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    u->job.run = run_unused;
    u->g = g;
    loop_post(the_control->loop, &u->job);
}

void publish_orphan(struct node *n)
{
    struct control *c = the_control;
    if (!n->pools) {                    /* never published */
        node_free(n);
        return;
    }
    n->closing = c->loop_count;
    for (uint32_t i = 0; i < c->loop_count; i++)
        loop_thread_close_pool(&c->loops[i], n);
}

/* Those of a node that nobody in force names; whoever still uses it holds it until all loops have done this. */
void publish_close_idle(struct node *n)
{
    for (uint32_t i = 0; i < the_control->loop_count; i++)
        loop_thread_close_idle(&the_control->loops[i], n);
}

struct bound *bound_find(struct control *c, struct slice address)
{
    for (struct bound *b = c->bound; b; b = b->next)
        if (slice_equal(slice_text(b->address), address))
            return b;
    return NULL;
}

/* A number that no bound listener has. They go round: connections of a listener that is gone keep theirs a while. */
static uint32_t free_id(struct control *c)
{
    static uint32_t turn;
    for (;;) {
        uint32_t id = turn++ % LISTENERS_MAX;
        bool used = false;
        for (struct bound *b = c->bound; b; b = b->next)
            used |= b->id == id;
        if (!used)
            return id;
    }
}

/* Routes name listeners by their place in the file; connections know the number of theirs, which stays when the file
 * is put in another order. */
static void number_listeners(struct control *c, struct generation *g)
{
    for (uint32_t k = 0; k < g->listener_count; k++)
        if (g->listeners[k]->settings.is_internal)
            g->internal_listeners |= 1ull << bound_find(c, g->listeners[k]->settings.address)->id;
    for (uint32_t i = 0; i < g->route_count; i++) {
        uint64_t places = g->routes[i]->settings.listeners, ids = 0;
        for (uint32_t k = 0; k < g->listener_count; k++)
            if (places >> k & 1)
                ids |= 1ull << bound_find(c, g->listeners[k]->settings.address)->id;
        g->routes[i]->match.listeners = ids;
    }
}

static struct bound *bound_add(struct control *c, struct slice address)
{
    struct bound *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    snprintf(b->address, sizeof b->address, "%.*s", (int)address.len, address.at);
    b->id = free_id(c);
    b->next = c->bound;
    c->bound = b;
    return b;
}

/* A set of sockets for each listener of g that is not bound yet; fds[i] has one per loop. False with the reason. */
static bool bind_new(struct control *c, const struct generation *g, struct new_listener *added, int (*fds)[LOOPS_MAX],
                     uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < g->listener_count; i++) {
        const struct listener_settings *s = &g->listeners[i]->settings;
        struct bound *b = bound_find(c, s->address);
        if (b && !b->is_absent)
            continue;
        bool good = control_ask(c, MESSAGE_BIND, (int)c->loop_count, s->address.at);
        if (!good && !s->optional) {
            control_report(c, c->message.text);
            return false;
        }
        if (!b)
            b = bound_add(c, s->address);
        b->is_absent = !good;
        if (!good) {
            c->message.text[strcspn(c->message.text, "\n")] = '\0';
            log_warn("control", "cannot listen where the configuration does not insist on it", "address",
                     log_slice(s->address), "why", c->message.text);
            continue;
        }
        snprintf(b->real, sizeof b->real, "%.*s", (int)sizeof b->real - 1, c->message.text);
        struct addr real;
        if (addr_parse(slice_text(b->real), &real))
            b->port = peer_of(&real.u.any).port;
        struct new_listener *n = &added[*count];
        snprintf(n->address, sizeof n->address, "%s", b->address);
        n->port = b->port;
        n->id = b->id;
        for (uint32_t k = 0; k < c->loop_count; k++)
            fds[*count][k] = (int)k < c->message.count ? c->message.fds[k] : dup(c->message.fds[0]);
        ++*count;
    }
    return true;
}

static void unbind_old(struct control *c, const struct generation *g)
{
    for (struct bound **b = &c->bound; *b;) {
        bool used = false;
        for (uint32_t i = 0; i < g->listener_count; i++)
            used |= slice_equal(slice_text((*b)->address), g->listeners[i]->settings.address);
        if (used) {
            b = &(*b)->next;
            continue;
        }
        struct bound *old = *b;
        *b = old->next;
        if (!old->is_absent)
            control_tell(c, MESSAGE_UNBIND, old->address);
        free(old);
    }
}

static void apply_logs(struct control *c, struct generation *g)
{
    log_set_level((enum log_level)g->gateway.log_level);
    char name[PATH_MAX + 8];
    struct slice error_log = g->gateway.error_log;
    if (getenv("TIDEGATE_DETACHED") && slice_equal(error_log, SLICE_OF("stderr"))) {
        int n = snprintf(name, sizeof name, "%.*s.log", (int)g->gateway.pid_file.len, g->gateway.pid_file.at);
        error_log = slice_make(name, (size_t)n);        /* in the background nobody reads standard error */
    }
    writer_set_error_log(c->writer, error_log);
    snprintf(name, sizeof name, "%.*s", (int)g->gateway.error_log.len, g->gateway.error_log.at);
    control_tell(c, MESSAGE_ERROR_LOG, name);
    for (uint32_t i = 0; i < g->log_count; i++)
        if ((g->logs[i]->sink = writer_sink(c->writer, g->logs[i]->settings.file)) == WRITER_NO_SINK)
            log_error("control", "too many different log files since the start; restart to free them", "file",
                      log_slice(g->logs[i]->settings.file));
}

static void retire_plugins(struct control *c, struct generation *g)
{
    struct acks acks;
    if (!g->plugins.len)
        return;
    acks_init(&acks, c->loop_count);
    for (uint32_t k = 0; k < c->loop_count; k++)
        loop_thread_retire(&c->loops[k], g, &acks);
    acks_wait(&acks);
}

/* The plugins in every loop. False, with the reason in last_report, when a loop cannot load them. */
static bool prepare_plugins(struct control *c, struct generation *g)
{
    static struct prepared result;
    struct acks acks;
    if (!g->plugins.len)
        return true;
    result.failed = false;
    acks_init(&acks, c->loop_count);
    for (uint32_t k = 0; k < c->loop_count; k++)
        loop_thread_prepare(&c->loops[k], g, &result, &acks);
    acks_wait(&acks);
    if (!result.failed)
        return true;
    retire_plugins(c, g);
    control_report(c, result.why);
    return false;
}

bool publish(struct control *c, struct generation *g)
{
    static struct new_listener added[LISTENERS_MAX];
    static int fds[LISTENERS_MAX][LOOPS_MAX];
    uint32_t count;
    struct acks acks;
    if (!prepare_plugins(c, g)) {
        generation_free(g);
        return false;
    }
    if (!bind_new(c, g, added, fds, &count)) {
        if (c->generation)
            unbind_old(c, c->generation);
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t k = 0; k < c->loop_count; k++)
                close(fds[i][k]);
        retire_plugins(c, g);
        generation_free(g);
        return false;
    }
    struct generation *old = c->generation;
    renew_begin(g);
    generation_open(g, c->loop_count);
    checker_use(c->checker, g);
    for (uint32_t i = 0; i < g->service_count; i++)
        drain_keep(g->services[i]->newest);
    number_listeners(c, g);
    g->number = ++c->generation_number;
    g->unused = on_unused;
    apply_logs(c, g);
    watchdog_set_limit(c->watchdog, g->plugins.len ? g->gateway.lua_hard_ms : 0);
    atomic_fetch_add(&g->refs, c->loop_count);
    acks_init(&acks, c->loop_count);
    for (uint32_t k = 0; k < c->loop_count; k++) {
        for (uint32_t i = 0; i < count; i++)
            added[i].fd = fds[i][k];
        loop_thread_install(&c->loops[k], g, added, count, &acks);
    }
    acks_wait(&acks);
    c->generation = g;
    if (old) {
        for (uint32_t i = 0; i < old->service_count; i++)
            drain_leave(old->services[i]->newest, publish_close_idle);
        unbind_old(c, g);
        generation_drop(old);
    }
    return true;
}
