#include "run/loop_thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/exchange.h"

enum { LOG_RING = 1 << 20 };

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

static void *run(void *who)
{
    struct loop_thread *t = who;
    char name[16];
    snprintf(name, sizeof name, "loop %u", t->plane.index);
    pthread_setname_np(pthread_self(), name);
    log_set_sink(log_line, t);
    loop_run(t->plane.loop);
    return NULL;
}

void loop_thread_start(struct loop_thread *t, uint32_t index, struct writer *w)
{
    struct plane *p = &t->plane;
    uint64_t random;
    *t = (struct loop_thread){ .writer = w };
    list_init(&t->accepting);
    p->index = index;
    p->loop = loop_new(p);
    p->log_ready = on_log_ready;
    fronts_init(&p->fronts, p->loop, &exchange_events);
    freelist_init(&p->ups, sizeof(struct up), 32);
    freelist_init(&p->exchanges, sizeof(struct exchange), 8);
    queue_init(&p->log, LOG_RING);
    writer_add_queue(w, &p->log);
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = clock_us() ^ (uint64_t)getpid() << 32;
    for (int i = 0; i < 16; i++)
        p->id_prefix[i] = "0123456789abcdef"[random >> (4 * i) & 15];
    if (pthread_create(&t->thread, NULL, run, t) != 0)
        abort();
}

static void free_plane(struct plane *p)
{
    loop_free(p->loop);
    fronts_free(&p->fronts);
    freelist_free(&p->ups);
    freelist_free(&p->exchanges);
    pipes_free(&p->pipes);
}

void loop_thread_join(struct loop_thread *t)
{
    pthread_join(t->thread, NULL);
    free_plane(&t->plane);
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

static void run_drain(struct loop *loop, struct job *job)
{
    struct loop_thread *t = thread_of(loop);
    free(job);
    stop_all_accepting(t);
    fronts_drain(&t->plane.fronts);
}

static void close_pools(struct plane *p)
{
    for (uint32_t i = 0; p->generation && i < p->generation->service_count; i++) {
        const struct service *s = p->generation->services[i];
        for (uint32_t k = 0; k < s->node_count; k++)
            pool_close(&s->nodes[k]->pools[p->index]);
    }
}

static void run_stop(struct loop *loop, struct job *job)
{
    struct loop_thread *t = thread_of(loop);
    stop_all_accepting(t);
    if (!t->stopping) {
        /* Cut exchanges end in the ready list, which runs after this: stop the loop in a second turn. */
        t->stopping = true;
        t->plane.fronts.draining = true;
        fronts_cut(&t->plane.fronts);
        loop_post(loop, job);
        return;
    }
    free(job);
    close_pools(&t->plane);
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

struct close_pool { struct job job; struct node *node; };

static void run_close_pool(struct loop *loop, struct job *job)
{
    struct node *n = ((struct close_pool *)(void *)job)->node;
    free(job);
    pool_close(&n->pools[plane_of(loop)->index]);
    if (atomic_fetch_sub(&n->closing, 1) == 1)
        node_free(n);
}

void loop_thread_close_pool(struct loop_thread *t, struct node *n)
{
    struct close_pool *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->job.run = run_close_pool;
    c->node = n;
    loop_post(t->plane.loop, &c->job);
}
