#include "proxy/pool.h"

static void on_oldest(struct deadline *d);

void pool_init(struct pool *p)
{
    list_init(&p->idle);
    p->oldest.fire = on_oldest;
}

static void forget(struct pool *p, struct up *u)
{
    link_remove(&u->in_pool);
    p->count--;
}

/* An idle connection has no business to say anything: what comes is its end, or bytes nobody asked for. Only TLS may
 * bring something of its own, a session ticket. */
static void on_idle_event(struct up *u)
{
    struct pool *p = u->holder;
    char byte;
    size_t n;
    if (!(u->stream.io.ready & (IO_READABLE | IO_HUP | IO_ERROR)))
        return;
    if (u->stream.tls && stream_read(&u->stream, &byte, 1, &n) == RC_AGAIN)
        return;
    forget(p, u);
    up_close(u);
}

static bool is_worn(const struct up *u, const struct service_settings *s)
{
    return (s->pool_max_requests && u->requests >= s->pool_max_requests) ||
           (s->pool_lifetime_ms && u->loop->clock.now_ms - u->born_ms >= s->pool_lifetime_ms);
}

struct up *pool_take(struct pool *p, const struct service_settings *s)
{
    while (p->count) {
        struct up *u = LINK_OWNER(p->idle.prev, struct up, in_pool);
        forget(p, u);
        if (!(u->stream.io.ready & (IO_READABLE | IO_HUP | IO_ERROR)) && !is_worn(u, s))
            return u;
        up_close(u);
    }
    return NULL;
}

static void arm(struct pool *p)
{
    if (p->count)
        loop_deadline(p->loop, &p->oldest,
                      LINK_OWNER(p->idle.next, struct up, in_pool)->idle_since_ms + p->idle_ms);
}

static void on_oldest(struct deadline *d)
{
    struct pool *p = LINK_OWNER(d, struct pool, oldest);
    while (p->count) {
        struct up *u = LINK_OWNER(p->idle.next, struct up, in_pool);
        if (u->idle_since_ms + p->idle_ms > p->loop->clock.now_ms)
            break;
        forget(p, u);
        up_close(u);
    }
    arm(p);
}

void pool_put(struct pool *p, struct up *u, const struct service_settings *s)
{
    if (is_worn(u, s) || s->pool_idle_per_node == 0) {
        up_close(u);
        return;
    }
    if (p->count >= s->pool_idle_per_node) {
        struct up *oldest = LINK_OWNER(p->idle.next, struct up, in_pool);
        forget(p, oldest);
        up_close(oldest);
    }
    p->loop = u->loop;
    p->idle_ms = s->pool_idle_ms;
    u->holder = p;
    u->on_wake = on_idle_event;
    u->idle_since_ms = u->loop->clock.now_ms;
    list_append(&p->idle, &u->in_pool);
    p->count++;
    if (!p->oldest.place)
        arm(p);
}

void pool_close(struct pool *p)
{
    while (p->count) {
        struct up *u = LINK_OWNER(p->idle.next, struct up, in_pool);
        forget(p, u);
        up_close(u);
    }
    if (p->loop)
        deadline_remove(&p->loop->deadlines, &p->oldest);
}
