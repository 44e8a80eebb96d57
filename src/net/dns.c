#include "net/dns.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"

enum { TRIES = 2, UDP_BYTES = 1232, CLASS_IN = 1, BATCH = 16, ANSWER_BLOCK = 4096 };

struct dns {
    ares_channel channel;
    struct loop *loop;
    struct watch watch;                 /* an epoll set with the sockets of c-ares: it waits for more than readable */
    struct deadline timer;
    uint32_t open;
};

struct question {
    struct dns *dns;
    enum dns_type type;
    dns_fn *fn;
    void *who;
};

/* -- sockets -- */

/* A descriptor that is closed has left the set by itself. */
static void on_socket_state(void *who, ares_socket_t fd, int readable, int writable)
{
    const struct dns *d = who;
    struct epoll_event e = { .events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0), .data.fd = fd };
    if (!readable && !writable)
        (void)epoll_ctl(d->watch.fd, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(d->watch.fd, EPOLL_CTL_MOD, fd, &e) < 0 && epoll_ctl(d->watch.fd, EPOLL_CTL_ADD, fd, &e) < 0)
        log_error("names", "cannot watch a socket to a name server");
}

/* When c-ares wants to be asked again, without news. */
static void set_timer(struct dns *d)
{
    struct timeval room, *left = ares_timeout(d->channel, NULL, &room);
    if (!left)
        return;
    uint64_t ms = (uint64_t)left->tv_sec * 1000 + (uint64_t)left->tv_usec / 1000 + 1;
    loop_deadline(d->loop, &d->timer, d->loop->clock.now_ms + ms);
}

static void take_news(struct dns *d, int wait_ms)
{
    struct epoll_event events[BATCH];
    int n = epoll_wait(d->watch.fd, events, BATCH, wait_ms);
    for (int i = 0; i < n; i++)
        ares_process_fd(d->channel, events[i].events & ~(uint32_t)EPOLLOUT ? events[i].data.fd : ARES_SOCKET_BAD,
                        events[i].events & EPOLLOUT ? events[i].data.fd : ARES_SOCKET_BAD);
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);      /* what is over */
    set_timer(d);
}

static void on_readable(struct watch *w) { take_news(LINK_OWNER(w, struct dns, watch), 0); }

static void on_timer(struct deadline *t) { take_news(LINK_OWNER(t, struct dns, timer), 0); }

void dns_wait(struct dns *d, uint32_t ms)
{
    struct timeval most = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 }, room;
    const struct timeval *left = ares_timeout(d->channel, &most, &room);
    take_news(d, (int)(left->tv_sec * 1000 + left->tv_usec / 1000 + 1));
    clock_tick(&d->loop->clock);
}

/* -- questions -- */

bool dns_is_absent(int status) { return status == ARES_ENOTFOUND || status == ARES_ENODATA; }

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct question *q = arg;
    struct dns_outcome out = { .status = status };
    struct arena a;
    (void)timeouts;
    arena_init(&a, ANSWER_BLOCK);
    if (status == ARES_SUCCESS) {
        enum rc rc = dns_message_read(slice_make((const char *)bytes, (size_t)len), q->type, &a, &out.answer);
        out.status = rc == RC_OK ? ARES_SUCCESS : ARES_EBADRESP;
    }
    if (out.status != ARES_SUCCESS)
        out.why = ares_strerror(out.status);
    q->dns->open--;
    q->fn(q->who, &out);
    arena_free(&a);
    free(q);
}

void dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn *fn, void *who)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    *q = (struct question){ .dns = d, .type = type, .fn = fn, .who = who };
    d->open++;
    ares_search(d->channel, name, CLASS_IN, (int)type, on_answer, q);
    set_timer(d);
}

uint32_t dns_open_count(const struct dns *d) { return d->open; }

/* -- coming and going -- */

static int open_channel(struct dns *d, const struct dns_settings *s)
{
    struct ares_options o = {
        .flags = ARES_FLAG_EDNS,
        .ednspsz = UDP_BYTES,           /* larger ones are cut into pieces on the way, and pieces get lost */
        .timeout = (int)s->timeout_ms,
        .tries = TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = d,
    };
    int given = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status = ares_init_options(&d->channel, &o, given);
    if (status != ARES_SUCCESS)
        return status;
    if (s->servers)
        status = ares_set_servers_ports_csv(d->channel, s->servers);
    if (status != ARES_SUCCESS)
        ares_destroy(d->channel);
    return status;
}

struct dns *dns_new(struct loop *loop, const struct dns_settings *s, char *why, size_t size)
{
    struct dns *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->loop = loop;
    d->timer.fire = on_timer;
    d->watch.on_readable = on_readable;
    d->watch.fd = epoll_create1(EPOLL_CLOEXEC);
    if (d->watch.fd < 0)
        abort();
    int status = open_channel(d, s);
    if (status != ARES_SUCCESS) {
        snprintf(why, size, "%s", ares_strerror(status));
        close(d->watch.fd);
        free(d);
        return NULL;
    }
    loop_watch(loop, &d->watch);
    return d;
}

void dns_free(struct dns *d)
{
    ares_destroy(d->channel);
    deadline_remove(&d->loop->deadlines, &d->timer);
    loop_unwatch(d->loop, &d->watch);
    close(d->watch.fd);
    free(d);
}
