#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ticks.h"

enum { BATCH = 256, ROUNDS = 8, PAGE = 4096 };

_Static_assert(SCRATCH_BEFORE % PAGE == PAGE / 2, "what is read lies in the middle of a page");

struct inside {
    struct loop *loop;
    int epoll;
    bool stopped;
    struct watch posted;            /* an eventfd */
    struct watch nobody;            /* stands in for a watch that went away in the middle of a batch */
    pthread_mutex_t lock;           /* of jobs */
    struct job *jobs, **jobs_end;
    struct grave *graves;           /* of the turn before, when not all that was ready had its turn */
    struct epoll_event events[BATCH];
};

/* What an event is about: a socket's io, or a watch, told apart by the lowest bit of the pointer. */
enum { WATCH_BIT = 1 };

static struct inside *inside(struct loop *loop) { return loop->private; }

/* What becomes ready meanwhile is for the next round. */
static void run_round(struct loop *loop)
{
    struct link round;
    list_move(&loop->ready, &round);
    for (struct link *l; (l = list_shift(&round));) {
        struct task *t = LINK_OWNER(l, struct task, in_ready);
        t->run(t);
    }
}

static void free_graves(struct grave **graves)
{
    while (*graves) {
        struct grave *g = *graves;
        *graves = g->next;
        g->free(g);
    }
}

static void run_ready(struct loop *loop)
{
    while (!list_is_empty(&loop->ready))
        run_round(loop);
    free_graves(&inside(loop)->graves);
    free_graves(&loop->graves);
}

/* Where a client sends faster than it is dealt with, something is ready for ever: sockets must not wait for the end of
 * that. What was buried may still be known to what is ready, and stays for one turn more. */
static void run_some(struct loop *loop)
{
    struct inside *in = inside(loop);
    for (int round = 0; round < ROUNDS && !list_is_empty(&loop->ready); round++)
        run_round(loop);
    free_graves(&in->graves);
    if (list_is_empty(&loop->ready)) {
        free_graves(&loop->graves);
        return;
    }
    in->graves = loop->graves;
    loop->graves = NULL;
}

static void on_socket(struct io *io, uint32_t got)
{
    if (io->fd < 0)
        return;                     /* closed earlier in this batch */
    io->ready |= (uint8_t)((got & EPOLLIN ? IO_READABLE : 0) | (got & EPOLLOUT ? IO_WRITABLE : 0) |
                           (got & (EPOLLRDHUP | EPOLLHUP) ? IO_HUP | IO_READABLE : 0) |
                           (got & (EPOLLERR | EPOLLHUP) ? IO_ERROR | IO_READABLE | IO_WRITABLE : 0));
    io->on_event(io);
}

static void on_posted(struct watch *w)
{
    struct inside *in = LINK_OWNER(w, struct inside, posted);
    uint64_t times;
    if (read(w->fd, &times, sizeof times) < 0)
        return;                     /* another turn has taken the jobs */
    pthread_mutex_lock(&in->lock);
    struct job *jobs = in->jobs;
    in->jobs = NULL;
    in->jobs_end = &in->jobs;
    pthread_mutex_unlock(&in->lock);
    for (struct job *next; jobs; jobs = next) {
        uint64_t began_ns = clock_cpu_ns();
        next = jobs->next;
        jobs->run(in->loop, jobs);
        loop_chore_done(in->loop, began_ns);
    }
}

/* Milliseconds until the next deadline, rounded up by one: a deadline must have passed when its run comes. */
static int patience(struct loop *loop)
{
    uint64_t next = deadlines_next(&loop->deadlines), now = loop->clock.now_ms;
    if (!list_is_empty(&loop->ready))
        return 0;
    if (next == DEADLINE_NEVER)
        return -1;
    if (next <= now)
        return 0;
    return next - now < 60000 ? (int)(next - now) : 60000;
}

static void run_deadlines(struct loop *loop)
{
    if (deadlines_next(&loop->deadlines) <= loop->clock.now_ms)
        deadlines_run(&loop->deadlines, loop->clock.now_ms);
}

void loop_step(struct loop *loop)
{
    run_deadlines(loop);
    run_ready(loop);
}

static void turn(struct loop *loop, struct inside *in)
{
    int n = epoll_wait(in->epoll, in->events, BATCH, patience(loop));
    uint64_t woke = ticks_now();
    clock_tick(&loop->clock);
    for (int i = 0; i < n; i++) {
        uintptr_t who = (uintptr_t)in->events[i].data.ptr;
        struct watch *w = (struct watch *)(who & ~(uintptr_t)WATCH_BIT);
        if (!(who & WATCH_BIT))
            on_socket((struct io *)who, in->events[i].events);
        else if (w->loop)
            w->on_readable(w);
    }
    run_deadlines(loop);
    run_some(loop);
    longest_note(&loop->rounds, loop->clock.now_ms, ticks_now() - woke);
}

struct loop *loop_new(void *owner)
{
    struct loop *loop = calloc(1, sizeof *loop);
    struct inside *in = calloc(1, sizeof *in);
    char *scratch = aligned_alloc(PAGE, (SCRATCH_BEFORE + SCRATCH_BYTES + SCRATCH_AFTER + PAGE - 1) / PAGE * PAGE);
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
    in->jobs_end = &in->jobs;
    pthread_mutex_init(&in->lock, NULL);
    in->epoll = epoll_create1(EPOLL_CLOEXEC);
    in->posted.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    in->posted.on_readable = on_posted;
    if (in->epoll < 0 || in->posted.fd < 0)
        abort();
    loop_watch(loop, &in->posted);
    return loop;
}

void loop_free(struct loop *loop)
{
    struct inside *in = inside(loop);
    run_ready(loop);
    while (loop->endings) {
        struct ending *e = loop->endings;
        loop->endings = e->next;
        e->run(loop, e);
    }
    close(in->posted.fd);
    close(in->epoll);
    pthread_mutex_destroy(&in->lock);
    deadlines_free(&loop->deadlines);
    free(loop->scratch - SCRATCH_BEFORE);
    free(loop->render);
    free(in);
    free(loop);
}

void loop_run(struct loop *loop)
{
    struct inside *in = inside(loop);
    run_ready(loop);
    while (!in->stopped)
        turn(loop, in);
}

void loop_stop(struct loop *loop) { inside(loop)->stopped = true; }

bool loop_add(struct loop *loop, struct io *io)
{
    if (io->registered)
        return true;
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = io };
    if (epoll_ctl(inside(loop)->epoll, EPOLL_CTL_ADD, io->fd, &e) < 0)
        return false;
    io->registered = true;
    return true;
}

void loop_remove(struct loop *loop, struct io *io)
{
    if (io->registered)
        (void)epoll_ctl(inside(loop)->epoll, EPOLL_CTL_DEL, io->fd, NULL);  /* it is there */
    io->registered = false;
    io->fd = -1;                    /* the rest of the batch forgets it */
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
    uint64_t one = 1;
    if (write(in->posted.fd, &one, sizeof one) < 0)
        return;                     /* the counter is full: the loop is awake */
}

void loop_chore_done(struct loop *loop, uint64_t began_ns)
{
    longest_note(&loop->chores, loop->clock.now_ms, clock_cpu_ns() - began_ns);
}

void loop_at_end(struct loop *loop, struct ending *e, void (*run_fn)(struct loop *loop, struct ending *e))
{
    e->run = run_fn;
    e->next = loop->endings;
    loop->endings = e;
}

void loop_watch(struct loop *loop, struct watch *w)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = (void *)((uintptr_t)w | WATCH_BIT) };
    if (w->loop)
        return;
    if (epoll_ctl(inside(loop)->epoll, EPOLL_CTL_ADD, w->fd, &e) < 0)
        abort();                    /* only without kernel memory: nothing would work */
    w->loop = loop;
}

/* The watch may be freed right after: the rest of the batch forgets it. */
void loop_unwatch(struct loop *loop, struct watch *w)
{
    struct inside *in = inside(loop);
    if (!w->loop)
        return;
    (void)epoll_ctl(in->epoll, EPOLL_CTL_DEL, w->fd, NULL);     /* gone already when the fd is closed */
    for (int i = 0; i < BATCH; i++)
        if (in->events[i].data.ptr == (void *)((uintptr_t)w | WATCH_BIT))
            in->events[i].data.ptr = (void *)((uintptr_t)&in->nobody | WATCH_BIT);
    w->loop = NULL;
}
