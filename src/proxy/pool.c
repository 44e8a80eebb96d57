#include "proxy/pool.h"

#include "proxy/supply.h"

enum { MARGIN_MS = 1000 };              /* so long before the upstream closes an idle connection we do */

static void on_sweep(struct deadline *d);

void pool_init(struct pool *p)
{
    list_init(&p->idle);
    p->sweep.fire = on_sweep;
}

static void forget(struct pool *p, struct up *u)
{
    link_remove(&u->in_pool);
    p->count--;
    if (u->counted_by)
        supply_unshelve(u->counted_by, p);
}

static void discard(struct pool *p, struct up *u)
{
    forget(p, u);
    up_close(u);
}

static struct up *oldest(const struct pool *p) { return LINK_OWNER(p->idle.next, struct up, in_pool); }

/* An idle connection has no business to say anything: what comes is its end, or bytes nobody asked for. Only TLS may
 * bring something of its own, a session ticket. */
static void on_idle_event(struct up *u)
{
    char byte;
    size_t n;
    if (!(u->stream.io.ready & (IO_READABLE | IO_HUP | IO_ERROR)))
        return;
    if (u->stream.tls && stream_read(&u->stream, &byte, 1, &n) == RC_AGAIN)
        return;
    discard(u->holder, u);
}

bool pool_is_worn(const struct up *u, const struct service_settings *s)
{
    return s->pool_idle_per_node == 0 || (s->pool_max_requests && u->requests >= s->pool_max_requests) ||
           (u->requests_max && u->requests >= u->requests_max) ||
           (s->pool_lifetime_ms && u->loop->clock.now_ms - u->born_ms >= s->pool_lifetime_ms);
}

struct up *pool_take(struct pool *p, const struct service_settings *s)
{
    while (p->count) {
        struct up *u = LINK_OWNER(p->idle.prev, struct up, in_pool);
        forget(p, u);
        if (!(u->stream.io.ready & (IO_READABLE | IO_HUP | IO_ERROR)) && !pool_is_worn(u, s) &&
            u->idle_due_ms > u->loop->clock.now_ms && (u->counted_by || !s->pool_max_per_node))
            return u;
        up_close(u);
    }
    return NULL;
}

struct up *pool_take_counted(struct pool *p)
{
    for (struct link *l = p->idle.prev; l != &p->idle; l = l->prev) {
        struct up *u = LINK_OWNER(l, struct up, in_pool);
        if (!u->counted_by)
            continue;
        forget(p, u);
        return u;
    }
    return NULL;
}

static void arm(struct pool *p, uint64_t due_ms)
{
    p->sweep_ms = due_ms;
    loop_deadline(p->loop, &p->sweep, due_ms);
}

static void on_sweep(struct deadline *d)
{
    struct pool *p = LINK_OWNER(d, struct pool, sweep);
    uint64_t now = p->loop->clock.now_ms, next = DEADLINE_NEVER;
    for (struct link *l = p->idle.next, *after; l != &p->idle; l = after) {
        struct up *u = LINK_OWNER(l, struct up, in_pool);
        after = l->next;
        if (u->idle_due_ms <= now)
            discard(p, u);
        else if (u->idle_due_ms < next)
            next = u->idle_due_ms;
    }
    if (p->count)
        arm(p, next);
}

void pool_restore(struct pool *p, struct up *u)
{
    if (!p->loop)
        p->loop = u->loop;              /* others may look from now on */
    u->holder = p;
    u->on_wake = on_idle_event;
    list_append(&p->idle, &u->in_pool);
    p->count++;
    if (!p->sweep.place || u->idle_due_ms < p->sweep_ms)
        arm(p, u->idle_due_ms);
}

/* How long it may be idle: what the service says, and less where the upstream will not wait that long. */
static uint64_t patience_ms(const struct up *u, const struct service_settings *s)
{
    uint64_t theirs = u->keep_ms > 2 * MARGIN_MS ? u->keep_ms - MARGIN_MS : u->keep_ms / 2;
    return u->keep_ms && theirs < s->pool_idle_ms ? theirs : s->pool_idle_ms;
}

void pool_put(struct pool *p, struct up *u, const struct service_settings *s)
{
    if (p->count >= s->pool_idle_per_node)
        discard(p, oldest(p));
    u->idle_due_ms = u->loop->clock.now_ms + patience_ms(u, s);
    pool_restore(p, u);
}

void pool_close(struct pool *p)
{
    while (p->count)
        discard(p, oldest(p));
    if (p->loop)
        deadline_remove(&p->loop->deadlines, &p->sweep);
}
