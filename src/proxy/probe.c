#include "proxy/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "net/dial.h"

enum { BODY_MAX = 64 * 1024, INTERIMS_MAX = 16 };
enum probe_step { PROBE_CONNECT, PROBE_SEND, PROBE_HEAD, PROBE_BODY };

/* -- endings -- */

static void stop(struct probe *p)
{
    if (p->up)
        up_close(p->up);
    p->up = NULL;
    p->runs = false;
    link_remove(&p->wake.in_ready);
    deadline_remove(&p->loop->deadlines, &p->timer);
    buf_reset(&p->body);
    arena_free(&p->req.arena);
}

__attribute__((format(printf, 3, 4))) static void end(struct probe *p, bool is_good, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->result.reason, sizeof p->result.reason, format, args);
    va_end(args);
    p->result.is_good = is_good;
    p->result.took_ms = (uint32_t)((clock_us() - p->started_us) / 1000);
    p->result.wall_ms = clock_wall_us() / 1000;
    stop(p);
    p->tell(p);                         /* may start the next one */
}

/* -- steps: each says whether the next one may go on -- */

static bool connect_step(struct probe *p)
{
    enum rc rc = up_check(p->up);
    if (rc == RC_AGAIN)
        return false;
    if (rc != RC_OK)
        end(p, false, "%s", rc == RC_UPSTREAM_TLS && p->up->why ? p->up->why : rc_word(rc));
    else if (p->service->settings.active.type == CHECK_TCP)
        end(p, true, "connected");
    else
        p->step = PROBE_SEND;
    return p->runs;
}

static void make_request(struct probe *p)
{
    const struct active_settings *a = &p->service->settings.active;
    struct request *r = &p->req;
    const char *question = memchr(a->target.at, '?', a->target.len);
    size_t len = question ? (size_t)(question - a->target.at) : a->target.len;
    r->method_text = a->method;
    r->method = method_of(a->method);
    r->path = slice_make(a->target.at, len);
    if (question)
        r->query = slice_from(a->target, len + 1);
    r->upstream_host = a->host.len ? a->host : slice_text(p->node->host_port);
    headers_add(&r->headers, &r->arena, HEADER_USER_AGENT, header_name(HEADER_USER_AGENT), SLICE_OF("tidegate-check"));
    for (struct slice left = a->fields; left.len;) {
        struct slice name = slice_text(left.at), value = slice_text(slice_end(name) + 1);
        enum header_id id = header_id_of(name);
        if (id == HEADER_USER_AGENT)
            headers_skip(&r->headers, id);
        headers_add(&r->headers, &r->arena, id, name, value);
        left = slice_from(left, name.len + value.len + 2);
    }
}

static bool send_step(struct probe *p)
{
    make_request(p);
    enum rc rc = up_send_head(p->up, &p->req, (struct span){ 0 }, true);
    if (rc != RC_OK && rc != RC_AGAIN) {
        end(p, false, "%s", rc_word(rc));
        return false;
    }
    p->step = PROBE_HEAD;
    return true;
}

static bool is_expected(const struct active_settings *a, int status)
{
    return status < CHECK_STATUSES && (a->expect[status / 64] >> status % 64 & 1);
}

static bool head_step(struct probe *p)
{
    const struct active_settings *a = &p->service->settings.active;
    for (int interims = 0;; interims++) {
        enum rc rc = up_flush(p->up);
        if (rc == RC_OK || rc == RC_AGAIN)
            rc = up_read_head(p->up, &p->req, &p->res, false);
        if (rc == RC_AGAIN)
            return false;
        if (rc != RC_OK || interims == INTERIMS_MAX || p->res.status == 101) {
            const char *why = p->up->why;
            end(p, false, "%s%s%s", rc_word(rc == RC_OK ? RC_UPSTREAM_BAD : rc == RC_EOF ? RC_RESET : rc),
                why ? ": " : "", why ? why : "");
            return false;
        }
        if (p->res.status >= 200)
            break;
    }
    if (!is_expected(a, p->res.status) || !a->body.len) {
        end(p, is_expected(a, p->res.status), "status %d", p->res.status);
        return false;
    }
    p->step = PROBE_BODY;
    return true;
}

static bool has_text(const struct buf *b, struct slice text)
{
    return buf_len(b) && memmem(buf_slice(b).at, buf_len(b), text.at, text.len) != NULL;
}

static bool body_step(struct probe *p)
{
    for (;;) {
        struct span piece;
        bool last = false;
        enum rc rc = up_read_body(p->up, &piece, &last);
        if (rc == RC_AGAIN)
            return false;
        if (rc == RC_OK)
            rc = buf_append(&p->body, slice_make(piece.at, piece.len));
        if (rc != RC_OK && rc != RC_LIMIT) {
            end(p, false, "status %d, but the body is cut", p->res.status);
            return false;
        }
        if (!last && rc == RC_OK)
            continue;
        bool found = has_text(&p->body, p->service->settings.active.body);
        end(p, found, found ? "status %d" : "status %d, but the body lacks the text", p->res.status);
        return false;
    }
}

static void run(struct probe *p)
{
    static bool (*const steps[])(struct probe *) = {
        [PROBE_CONNECT] = connect_step,
        [PROBE_SEND] = send_step,
        [PROBE_HEAD] = head_step,
        [PROBE_BODY] = body_step,
    };
    while (steps[p->step](p))
        continue;
    if (p->runs)
        up_settle(p->up);
}

static void on_wake(struct task *t) { run(LINK_OWNER(t, struct probe, wake)); }

static void on_up_wake(struct up *u)
{
    struct probe *p = u->holder;
    loop_ready(p->loop, &p->wake);
}

static void on_timer(struct deadline *d)
{
    struct probe *p = LINK_OWNER(d, struct probe, timer);
    if (!p->up && p->refused == RC_FULL)
        stop(p);                        /* nothing was learned about the node */
    else if (!p->up)
        end(p, false, "%s", rc_word(p->refused));
    else
        end(p, false, "timeout after %u ms", p->service->settings.active.timeout_ms);
}

/* -- from outside -- */

void probe_start(struct probe *p, struct loop *loop, struct freelist *ups, const struct service *s,
                 const struct node *n, probe_fn *tell)
{
    const struct active_settings *a = &s->settings.active;
    *p = (struct probe){ .loop = loop, .service = s, .node = n, .ups = ups, .tell = tell, .runs = true };
    p->wake.run = on_wake;
    p->timer.fire = on_timer;
    p->started_us = clock_us();
    p->body.max = BODY_MAX;
    arena_init(&p->req.arena, 4096);
    p->up = up_connect(loop, ups, &n->addr, a->type == CHECK_HTTP ? s->tls : NULL,
                       s->settings.tls_server_name.len ? s->settings.tls_server_name.at : n->host);
    p->refused = dial_lacks_sockets(errno)                  ? RC_FULL
                 : errno == ECONNREFUSED || errno == ENOENT ? RC_REFUSED
                                                            : RC_UNREACHABLE;
    if (p->up) {
        p->up->holder = p;
        p->up->on_wake = on_up_wake;
        loop_ready(loop, &p->wake);
    }
    loop_deadline(loop, &p->timer, loop->clock.now_ms + (p->up ? a->timeout_ms : 0));
}

void probe_cancel(struct probe *p)
{
    if (p->runs)
        stop(p);
}
