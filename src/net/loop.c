#include "net/loop.h"

#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BATCH = 256 };

struct inside {
    struct loop *loop;
    struct ev_loop *ev;
    int epoll;
    ev_io sockets;                  /* our epoll set */
    ev_timer timer;                 /* the next deadline */
    ev_prepare before_sleep;
    ev_async posted;
    uint64_t timer_ms;              /* what the timer is set to */
    pthread_mutex_t lock;           /* of jobs */
    struct job *jobs, **jobs_end;
    struct epoll_event events[BATCH];
};

static struct inside *inside(struct loop *loop) { return loop->private; }

static void run_ready(struct loop *loop)
{
    for (struct link *l; (l = list_shift(&loop->ready));) {
        struct task *t = LINK_OWNER(l, struct task, in_ready);
        t->run(t);
    }
    while (loop->graves) {
        struct grave *g = loop->graves;
        loop->graves = g->next;
        g->free(g);
    }
}

static void on_sockets(struct ev_loop *ev, ev_io *w, int events)
{
    struct inside *in = w->data;
    struct loop *loop = in->loop;
    (void)ev, (void)events;
    clock_tick(&loop->clock);
    int n = epoll_wait(in->epoll, in->events, BATCH, 0);
    for (int i = 0; i < n; i++) {
        struct io *io = in->events[i].data.ptr;
        uint32_t got = in->events[i].events;
        if (io->fd < 0)
            continue;               /* closed earlier in this batch */
        io->ready |= (uint8_t)((got & EPOLLIN ? IO_READABLE : 0) | (got & EPOLLOUT ? IO_WRITABLE : 0) |
                               (got & (EPOLLRDHUP | EPOLLHUP) ? IO_HUP | IO_READABLE : 0) |
                               (got & (EPOLLERR | EPOLLHUP) ? IO_ERROR | IO_READABLE | IO_WRITABLE : 0));
        io->on_event(io);
    }
    run_ready(loop);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
    struct inside *in = w->data;
    (void)ev, (void)events;
    in->timer_ms = DEADLINE_NEVER;
    clock_tick(&in->loop->clock);
    deadlines_run(&in->loop->deadlines, in->loop->clock.now_ms);
    run_ready(in->loop);
}

/* The timer is moved only to an earlier time: one that comes too early looks, finds nothing and is set again. */
static void on_before_sleep(struct ev_loop *ev, ev_prepare *w, int events)
{
    struct inside *in = w->data;
    (void)events;
    run_ready(in->loop);
    uint64_t next = deadlines_next(&in->loop->deadlines);
    if (next >= in->timer_ms)
        return;
    in->timer_ms = next;
    clock_tick(&in->loop->clock);
    uint64_t now = in->loop->clock.now_ms;
    ev_timer_stop(ev, &in->timer);
    ev_now_update(ev);
    ev_timer_set(&in->timer, next > now ? (double)(next - now) / 1000.0 : 0.0, 0.0);
    ev_timer_start(ev, &in->timer);
}

static void on_posted(struct ev_loop *ev, ev_async *w, int events)
{
    struct inside *in = w->data;
    (void)ev, (void)events;
    pthread_mutex_lock(&in->lock);
    struct job *jobs = in->jobs;
    in->jobs = NULL;
    in->jobs_end = &in->jobs;
    pthread_mutex_unlock(&in->lock);
    clock_tick(&in->loop->clock);
    for (struct job *next; jobs; jobs = next) {
        next = jobs->next;
        jobs->run(in->loop, jobs);
    }
    run_ready(in->loop);
}

struct loop *loop_new(void *owner)
{
    struct loop *loop = calloc(1, sizeof *loop);
    struct inside *in = calloc(1, sizeof *in);
    char *scratch = malloc(SCRATCH_BEFORE + SCRATCH_BYTES + SCRATCH_AFTER);
    char *render = malloc(RENDER_BYTES);
    if (!loop || !in || !scratch || !render)
        abort();
    loop->private = in;
    loop->owner = owner;
    loop->scratch = scratch + SCRATCH_BEFORE;
    loop->render = render;
    list_init(&loop->ready);
    clock_tick(&loop->clock);
    in->loop = loop;
    in->timer_ms = DEADLINE_NEVER;
    in->jobs_end = &in->jobs;
    pthread_mutex_init(&in->lock, NULL);
    in->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    in->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!in->ev || in->epoll < 0)
        abort();
    ev_io_init(&in->sockets, on_sockets, in->epoll, EV_READ);
    ev_timer_init(&in->timer, on_timer, 0.0, 0.0);
    ev_prepare_init(&in->before_sleep, on_before_sleep);
    ev_async_init(&in->posted, on_posted);
    in->sockets.data = in->timer.data = in->before_sleep.data = in->posted.data = in;
    ev_io_start(in->ev, &in->sockets);
    ev_prepare_start(in->ev, &in->before_sleep);
    ev_async_start(in->ev, &in->posted);
    return loop;
}

void loop_free(struct loop *loop)
{
    struct inside *in = inside(loop);
    run_ready(loop);
    ev_loop_destroy(in->ev);
    close(in->epoll);
    pthread_mutex_destroy(&in->lock);
    deadlines_free(&loop->deadlines);
    free(loop->scratch - SCRATCH_BEFORE);
    free(loop->render);
    free(in);
    free(loop);
}

void loop_run(struct loop *loop) { ev_run(inside(loop)->ev, 0); }
void loop_stop(struct loop *loop) { ev_break(inside(loop)->ev, EVBREAK_ALL); }

bool loop_add(struct loop *loop, struct io *io)
{
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = io };
    if (epoll_ctl(inside(loop)->epoll, EPOLL_CTL_ADD, io->fd, &e) < 0)
        return false;
    io->registered = true;
    return true;
}

void io_close(struct io *io)
{
    if (io->fd >= 0)
        close(io->fd);
    io->fd = -1;
}

void loop_ready(struct loop *loop, struct task *t)
{
    if (!link_is_linked(&t->in_ready))
        list_append(&loop->ready, &t->in_ready);
}

void loop_bury(struct loop *loop, struct grave *g, void (*free_fn)(struct grave *g))
{
    g->free = free_fn;
    g->next = loop->graves;
    loop->graves = g;
}

void loop_post(struct loop *loop, struct job *job)
{
    struct inside *in = inside(loop);
    job->next = NULL;
    pthread_mutex_lock(&in->lock);
    *in->jobs_end = job;
    in->jobs_end = &job->next;
    pthread_mutex_unlock(&in->lock);
    ev_async_send(in->ev, &in->posted);
}

static void on_watch(struct ev_loop *ev, ev_io *w, int events)
{
    struct watch *watch = w->data;
    (void)ev, (void)events;
    clock_tick(&watch->loop->clock);
    watch->on_readable(watch);
}

void loop_watch(struct loop *loop, struct watch *w)
{
    ev_io *io = w->ev;
    if (io)
        return;
    w->ev = io = calloc(1, sizeof *io);
    if (!io)
        abort();
    w->loop = loop;
    ev_io_init(io, on_watch, w->fd, EV_READ);
    io->data = w;
    ev_io_start(inside(loop)->ev, io);
}

void loop_unwatch(struct loop *loop, struct watch *w)
{
    if (!w->ev)
        return;
    ev_io_stop(inside(loop)->ev, w->ev);
    free(w->ev);
    w->ev = NULL;
}
