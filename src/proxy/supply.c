#include "proxy/supply.h"

#include <stdlib.h>

#include "proxy/plane.h"

struct supply *supply_new(void)
{
    struct supply *v = calloc(1, sizeof *v);
    if (!v)
        abort();
    gate_init(&v->gate);
    list_init(&v->shelves);
    v->refs = 1;
    return v;
}

struct supply *supply_keep(struct supply *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void supply_drop(struct supply *v)
{
    if (atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
        free(v);
}

/* -- what counts -- */

static void on_end(struct up *u)
{
    struct supply *v = u->counted_by;
    gate_leave(&v->gate, u->loop);
    supply_drop(v);
}

static void count_in(struct supply *v, struct up *u)
{
    u->counted_by = supply_keep(v);
    u->on_end = on_end;
}

/* It closes, and its place stays in hand. */
static void close_only(struct supply *v, struct up *u)
{
    u->on_end = NULL;
    u->counted_by = NULL;
    up_close(u);
    supply_drop(v);
}

/* -- idle connections that are wanted elsewhere -- */

struct ask { struct job job; struct supply *supply; };

static void run_ask(struct loop *loop, struct job *job);

/* Under the lock, so that the loop asked is still there: to end, it has to take what it has off the shelf. */
static void ask_next(struct supply *v)
{
    struct link *first = v->gate.waits ? list_shift(&v->shelves) : NULL;
    if (!first)
        return;
    list_append(&v->shelves, first);
    struct ask *a = malloc(sizeof *a);
    if (!a)
        abort();
    *a = (struct ask){ .job.run = run_ask, .supply = supply_keep(v) };
    loop_post(LINK_OWNER(first, struct pool, in_shelves)->loop, &a->job);
}

static void on_event_in_hand(struct up *u) { (void)u; }     /* who gets it looks at what is ready */

/* Under the lock. */
static void hand_over(struct ticket *t, const struct node *n, struct up *u)
{
    struct loop *here = u->loop;
    if (t->wants != n || u->stream.wire) {
        close_only(u->counted_by, u);   /* to the same address, but made otherwise */
    } else if (t->loop == here) {
        u->on_wake = on_event_in_hand;
        t->up = u;
    } else {
        t->parcel = malloc(sizeof *t->parcel);
        if (!t->parcel)
            abort();
        up_pack(u, t->parcel);
    }
    ticket_call(t, here);
}

/* Under the lock. More are open than may be. */
static bool is_over(const struct supply *v) { return v->gate.limit && v->gate.used > v->gate.limit; }

/* Under the lock. */
static void shelve(struct supply *v, const struct node *n, struct pool *pool, struct loop *loop)
{
    v->idle++;
    if (pool->shelved++)
        return;
    pool->loop = loop;
    pool->node = n;
    list_append(&v->shelves, &pool->in_shelves);
}

bool supply_offer(struct supply *v, const struct node *n, struct pool *pool, struct up *u)
{
    lock_take(&v->gate.lock);
    bool over = is_over(v);
    struct ticket *t = over ? NULL : gate_pass_locked(&v->gate, false);
    if (t) {
        hand_over(t, n, u);
    } else if (!over) {
        shelve(v, n, pool, u->loop);
    }
    lock_leave(&v->gate.lock);
    if (over)
        up_close(u);
    return over || t;
}

void supply_unshelve(struct supply *v, struct pool *pool)
{
    lock_take(&v->gate.lock);
    v->idle--;
    if (--pool->shelved == 0)
        link_remove(&pool->in_shelves);
    lock_leave(&v->gate.lock);
}

/* Under the lock: where this loop has idle ones. */
static struct pool *shelf_of(const struct supply *v, const struct loop *loop)
{
    for (struct link *l = v->shelves.next; l != &v->shelves; l = l->next) {
        struct pool *p = LINK_OWNER(l, struct pool, in_shelves);
        if (p->loop == loop)
            return p;
    }
    return NULL;
}

/* Somebody waits: what is idle here is theirs. */
static void run_ask(struct loop *loop, struct job *job)
{
    struct ask *a = LINK_OWNER(job, struct ask, job);
    struct supply *v = a->supply;
    struct pool *p;
    free(a);
    lock_take(&v->gate.lock);
    while (v->gate.waits && (p = shelf_of(v, loop))) {
        lock_leave(&v->gate.lock);
        struct up *u = pool_take_counted(p);
        if (u && !supply_offer(v, p->node, p, u))
            pool_restore(p, u);
        lock_take(&v->gate.lock);
    }
    ask_next(v);
    lock_leave(&v->gate.lock);
    supply_drop(v);
}

/* -- one request's way to a connection -- */

/* With a place in hand. */
static enum rc connect_new(struct supply *v, const struct service *s, const struct node *n, struct plane *p,
                           struct up **out)
{
    enum rc rc = service_connect(s, n, p->loop, &p->ups, out);
    if (rc == RC_OK)
        count_in(v, *out);
    else
        gate_leave(&v->gate, p->loop);
    return rc;
}

static struct up *unpack(struct supply *v, struct up_parcel *parcel, struct plane *p)
{
    struct up *u = up_unpack(parcel, p->loop, &p->ups);
    free(parcel);
    if (!u)
        supply_drop(v);                 /* the one that the connection held */
    return u;
}

/* Called, but who waited has gone. */
static void on_lost(struct ticket *t)
{
    struct plane *p = plane_of(t->loop);
    struct supply *v = LINK_OWNER(t->gate, struct supply, gate);
    struct up *u = t->parcel ? unpack(v, t->parcel, p) : t->up;
    if (u)
        up_close(u);                    /* whose turn is next opens another one */
    else
        gate_leave(&v->gate, t->loop);
}

static bool is_fit(const struct up *u, const struct service *s)
{
    return !(u->stream.io.ready & (IO_READABLE | IO_HUP | IO_ERROR)) && !pool_is_worn(u, &s->settings);
}

static enum rc use_turn(struct ticket *t, const struct service *s, const struct node *n, struct plane *p,
                        struct up **out)
{
    struct supply *v = LINK_OWNER(t->gate, struct supply, gate);
    struct up *u = t->parcel ? unpack(v, t->parcel, p) : t->up;
    ticket_use(t);
    if (u && is_fit(u, s)) {
        *out = u;
        return RC_OK;
    }
    if (u)
        close_only(v, u);
    return connect_new(v, s, n, p, out);
}

static enum rc get_in_line(struct ticket **t, struct node *n, struct plane *p, struct task *wake)
{
    struct supply *v = n->supply;
    lock_take(&v->gate.lock);
    enum rc rc = gate_enter_locked(&v->gate, v->idle, p->loop, &p->tickets, wake, t);
    if (rc == RC_AGAIN) {
        (*t)->wants = n;
        (*t)->lost = on_lost;
        ask_next(v);
    }
    lock_leave(&v->gate.lock);
    return rc == RC_FULL ? RC_NODE_FULL : rc;
}

enum rc supply_take(struct ticket **t, const struct service *s, struct node *n, struct plane *p, struct task *wake,
                    bool fresh, struct up **out)
{
    struct ticket *mine = *t;
    if (mine) {
        if (!ticket_is_called(mine))
            return RC_AGAIN;
        *t = NULL;
        return use_turn(mine, s, n, p, out);
    }
    *out = fresh ? NULL : pool_take(node_pool(n, p->index), &s->settings);
    if (*out)
        return RC_OK;
    if (!n->supply || !s->settings.pool_max_per_node)
        return service_connect(s, n, p->loop, &p->ups, out);
    enum rc rc = get_in_line(t, n, p, wake);
    return rc == RC_OK ? connect_new(n->supply, s, n, p, out) : rc;
}
