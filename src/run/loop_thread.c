#include "run/loop_thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "lua/chains.h"
#include "proxy/websocket.h"

enum {
    LEAVE_MS = 1000,            /* for the ends of WebSockets to answer that they close */
    LEAVE_LOOK_MS = 10,
};

void acks_init(struct acks *a, unsigned missing)
{
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->all, NULL);
    a->missing = missing;
}

void acks_give(struct acks *a)
{
    pthread_mutex_lock(&a->lock);
    if (--a->missing == 0)
        pthread_cond_signal(&a->all);
    pthread_mutex_unlock(&a->lock);
}

void acks_wait(struct acks *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->missing)
        pthread_cond_wait(&a->all, &a->lock);
    pthread_mutex_unlock(&a->lock);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->all);
}

static struct loop_thread *thread_of(struct loop *loop)
{
    return LINK_OWNER(plane_of(loop), struct loop_thread, plane);
}

/* -- accepting -- */

static void on_accept(struct listener *l, int fd, const struct sockaddr *from)
{
    struct accepting *a = LINK_OWNER(l, struct accepting, listener);
    struct plane *p = &a->owner->plane;
    struct generation *g = p->generation;
    const struct listener_use *use = g->listeners[a->index];
    count(&p->counters.connections_total, 1);
    if (fronts_open() >= g->gateway.limits.connections) {
        count(&p->counters.refused, 1);
        if (use->tls)
            close(fd);              /* a 503 would cost a handshake */
        else
            fronts_turn_away(&p->fronts, fd);
        return;
    }
    struct peer peer = peer_of(from);
    struct front_start start = {
        .tls = use->tls,
        .proxy_protocol = use->settings.proxy_protocol,
        .trust_proxy = use->settings.proxy_protocol && (peer.family == AF_UNIX || generation_trusts(g, &peer)),
        .local_port = a->port,
        .listener = a->id,
    };
    fronts_accept(&p->fronts, fd, from, &start);
    atomic_store_explicit(&p->counters.accept_errors, l->errors, memory_order_relaxed);
}

static void stop_accepting(struct accepting *a)
{
    listener_stop(&a->listener);
    link_remove(&a->in_all);
    free(a);
}

static void stop_all_accepting(struct loop_thread *t)
{
    while (!list_is_empty(&t->accepting))
        stop_accepting(LINK_OWNER(t->accepting.next, struct accepting, in_all));
}

/* -- the thread -- */

static void log_line(void *who, struct slice line)
{
    struct loop_thread *t = who;
    char *at = queue_reserve(&t->plane.log, (uint32_t)line.len);
    if (!at) {
        count(&t->plane.counters.log_lost, 1);
        return;
    }
    memcpy(at, line.at, line.len);
    queue_commit(&t->plane.log, WRITER_ERROR_LOG, (uint32_t)line.len);
    writer_wake(t->writer);
}

static void on_log_ready(struct plane *p)
{
    writer_wake(LINK_OWNER(p, struct loop_thread, plane)->writer);
}

/* What the system call takes: the C library has no words for it, and those of <linux/sched/types.h> clash with its. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Short turns at the processor (Linux 6.12; before, no difference): who wants short ones gets it at once when there is
 * something to do, even where a thread that has it, such as one that loads a configuration, could keep it for
 * milliseconds. In all it gets no more than before. */
static void ask_for_short_turns(void)
{
    enum { TURN_NS = 100000 };          /* the shortest that there is */
    struct scheduling a = { 0 };
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0 || a.policy != SCHED_OTHER)
        return;
    a.runtime_ns = TURN_NS;
    (void)syscall(SYS_sched_setattr, 0, &a, 0);         /* it goes without */
}

static void *run(void *who)
{
    struct loop_thread *t = who;
    char name[16];
    snprintf(name, sizeof name, "loop %u", t->plane.index);
    pthread_setname_np(pthread_self(), name);
    log_set_sink(log_line, t);
    t->tid = gettid();
    ask_for_short_turns();
    loop_run(t->plane.loop);
    if (t->plane.vm) {
        if (t->plane.generation)
            t->plane.hooks->retire(&t->plane, t->plane.generation);
        vm_close(t->plane.vm);
    }
    return NULL;
}

void loop_thread_start(struct loop_thread *t, uint32_t index, struct writer *w)
{
    struct plane *p = &t->plane;
    *t = (struct loop_thread){ .writer = w };
    list_init(&t->accepting);
    plane_open(p, index);
    p->log_ready = on_log_ready;
    p->hooks = &chains;
    writer_add_queue(w, &p->log);
    if (pthread_create(&t->thread, NULL, run, t) != 0)
        abort();
}

void loop_thread_join(struct loop_thread *t)
{
    pthread_join(t->thread, NULL);
    plane_close(&t->plane);
    if (t->plane.generation)
        generation_drop(t->plane.generation);
}

/* -- jobs -- */

struct install {
    struct job job;
    struct generation *g;
    struct acks *acks;
    uint32_t count;
    struct new_listener added[];
};

struct prepare { struct job job; struct generation *g; struct prepared *result; struct acks *acks; };

static void run_prepare(struct loop *loop, struct job *job)
{
    struct prepare *in = (struct prepare *)(void *)job;
    char why[sizeof in->result->why];
    struct plane *p = plane_of(loop);
    enum rc rc = p->hooks->prepare(p, in->g, why, sizeof why);
    if (rc == RC_AGAIN) {               /* after the requests that have come meanwhile */
        loop_post(loop, job);
        return;
    }
    if (rc != RC_OK && !atomic_exchange(&in->result->failed, true))
        memcpy(in->result->why, why, sizeof why);
    acks_give(in->acks);
    free(in);
}

static void run_retire(struct loop *loop, struct job *job)
{
    struct prepare *in = (struct prepare *)(void *)job;
    plane_of(loop)->hooks->retire(plane_of(loop), in->g);
    acks_give(in->acks);
    free(in);
}

static void post_prepare(struct loop_thread *t, struct prepare wish)
{
    struct prepare *in = malloc(sizeof *in);
    if (!in)
        abort();
    *in = wish;
    loop_post(t->plane.loop, &in->job);
}

void loop_thread_prepare(struct loop_thread *t, struct generation *g, struct prepared *result, struct acks *acks)
{
    t->plane.hooks->open(&t->plane);    /* not in the loop's own time */
    post_prepare(t, (struct prepare){ .job.run = run_prepare, .g = g, .result = result, .acks = acks });
}

void loop_thread_retire(struct loop_thread *t, struct generation *g, struct acks *acks)
{
    post_prepare(t, (struct prepare){ .job.run = run_retire, .g = g, .acks = acks });
}

static int index_of(const struct generation *g, const char *address)
{
    for (uint32_t i = 0; i < g->listener_count; i++)
        if (slice_equal(g->listeners[i]->settings.address, slice_text(address)))
            return (int)i;
    return -1;
}

static void run_install(struct loop *loop, struct job *job)
{
    struct loop_thread *t = thread_of(loop);
    struct install *in = (struct install *)(void *)job;
    for (struct link *l = t->accepting.next, *next; l != &t->accepting; l = next) {
        struct accepting *a = LINK_OWNER(l, struct accepting, in_all);
        int index = index_of(in->g, a->address);
        next = l->next;
        if (index < 0)
            stop_accepting(a);
        else
            a->index = (uint32_t)index;
    }
    plane_swap(&t->plane, in->g);
    for (uint32_t i = 0; i < in->count; i++) {
        struct accepting *a = calloc(1, sizeof *a);
        int index = index_of(in->g, in->added[i].address);
        if (!a || index < 0)
            abort();
        a->owner = t;
        a->index = (uint32_t)index;
        a->port = in->added[i].port;
        a->id = in->added[i].id;
        memcpy(a->address, in->added[i].address, sizeof a->address);
        list_append(&t->accepting, &a->in_all);
        listener_start(&a->listener, loop, in->added[i].fd, on_accept);
    }
    acks_give(in->acks);
    free(in);
}

void loop_thread_install(struct loop_thread *t, struct generation *g, const struct new_listener *added, uint32_t n,
                         struct acks *acks)
{
    struct install *in = malloc(sizeof *in + n * sizeof *added);
    if (!in)
        abort();
    *in = (struct install){ .job.run = run_install, .g = g, .acks = acks, .count = n };
    if (n)
        memcpy(in->added, added, n * sizeof *added);
    loop_post(t->plane.loop, &in->job);
}

struct swap { struct job job; struct service_slot *slot; struct service *service; };

static void run_swap(struct loop *loop, struct job *job)
{
    const struct swap *s = (struct swap *)(void *)job;
    service_swap(s->slot, s->service, plane_of(loop)->index);
    free(job);
}

void loop_thread_swap_service(struct loop_thread *t, struct service_slot *slot, struct service *s)
{
    struct swap *made = malloc(sizeof *made);
    if (!made)
        abort();
    *made = (struct swap){ .job.run = run_swap, .slot = slot, .service = s };
    loop_post(t->plane.loop, &made->job);
}

static void run_drain(struct loop *loop, struct job *job)
{
    struct loop_thread *t = thread_of(loop);
    free(job);
    stop_all_accepting(t);
    fronts_drain(&t->plane.fronts);
}

static void post_stop(struct loop_thread *t);

static void on_leave(struct deadline *d) { post_stop(LINK_OWNER(d, struct loop_thread, leave)); }

/* WebSockets are told, and have a moment to answer. */
static bool websockets_are_gone(struct loop_thread *t)
{
    struct loop *loop = t->plane.loop;
    if (!t->leave_until_ms) {
        t->leave_until_ms = loop->clock.now_ms + LEAVE_MS;
        t->leave.fire = on_leave;
        websockets_leave(&t->plane);
    }
    if (list_is_empty(&t->plane.websockets) || loop->clock.now_ms >= t->leave_until_ms)
        return true;
    loop_deadline(loop, &t->leave, loop->clock.now_ms + LEAVE_LOOK_MS);
    return false;
}

static void run_stop(struct loop *loop, struct job *job)
{
    struct loop_thread *t = thread_of(loop);
    stop_all_accepting(t);
    if (!t->stopping && !websockets_are_gone(t)) {
        free(job);
        return;
    }
    if (!t->stopping) {
        /* Cut exchanges end in the ready list, which runs after this: stop the loop in a second turn. */
        t->stopping = true;
        t->plane.fronts.draining = true;
        fronts_cut(&t->plane.fronts);
        loop_post(loop, job);
        return;
    }
    free(job);
    plane_close_pools(&t->plane);
    loop_stop(loop);
}

static void post(struct loop_thread *t, void (*run_job)(struct loop *loop, struct job *job))
{
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->run = run_job;
    loop_post(t->plane.loop, j);
}

void loop_thread_drain(struct loop_thread *t) { post(t, run_drain); }
void loop_thread_stop(struct loop_thread *t) { post(t, run_stop); }
static void post_stop(struct loop_thread *t) { post(t, run_stop); }

struct close_pool { struct job job; struct node *node; };

static void run_close_idle(struct loop *loop, struct job *job)
{
    struct node *n = ((struct close_pool *)(void *)job)->node;
    free(job);
    pool_close(&n->pools[plane_of(loop)->index]);
}

static void run_close_pool(struct loop *loop, struct job *job)
{
    struct node *n = ((struct close_pool *)(void *)job)->node;
    free(job);
    pool_close(&n->pools[plane_of(loop)->index]);
    if (atomic_fetch_sub(&n->closing, 1) == 1)
        node_free(n);
}

static void post_close(struct loop_thread *t, struct node *n, void (*run_job)(struct loop *loop, struct job *job))
{
    struct close_pool *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->job.run = run_job;
    c->node = n;
    loop_post(t->plane.loop, &c->job);
}

void loop_thread_close_idle(struct loop_thread *t, struct node *n) { post_close(t, n, run_close_idle); }
void loop_thread_close_pool(struct loop_thread *t, struct node *n) { post_close(t, n, run_close_pool); }
