#include "proxy/passage.h"

#include <stdlib.h>

#include "proxy/websocket.h"

/* What the access log may ask for. */
enum text { TEXT_METHOD, TEXT_TARGET, TEXT_PATH, TEXT_HOST, TEXT_ID, TEXT_REFERER, TEXT_AGENT, TEXT_COUNT };

struct passage {
    struct pipe_end pipe;
    struct task wake;
    struct plane *plane;
    struct generation *generation;
    const struct route *route;
    struct service *service;
    const struct share *share;
    struct node *node;
    struct up *up;
    struct tunnel *tunnel;              /* behind this struct, as the other one, and then the texts */
    struct websocket *websocket;        /* NULL: it is the tunnel that moves bytes */
    struct service *picked_of;
    struct node *picked;
    struct overload_place place;
    uint64_t moved_ms;                  /* of a tunnel: when something last moved */
    uint64_t started_us, connect_us, first_byte_us;
    uint64_t bytes_in, bytes_out;
    struct peer client;
    uint32_t lengths[TEXT_COUNT];
    int status;
    uint8_t method, version, source, tries, retries;
    bool peer_is_trusted, is_websocket;
};

bool passage_may_begin(const struct exchange *x)
{
    enum {
        LATER = HOOK_BIT(HOOK_LOG) | HOOK_BIT(HOOK_WS_OPEN) | HOOK_BIT(HOOK_WS_CLOSE) | HOOK_BIT(HOOK_MESSAGE) |
                HOOK_BIT(HOOK_MESSAGE_BACK),
    };
    bool may_be_closed = x->websocket && x->number;     /* by a plugin that has kept the request */
    return !(x->hooks & LATER) && !may_be_closed && !x->logged && !x->adhoc;
}

/* -- keeping an exchange, and making one again -- */

static void gather_texts(const struct exchange *x, struct slice texts[TEXT_COUNT])
{
    const struct request *r = &x->req;
    texts[TEXT_METHOD] = r->method_text;
    texts[TEXT_TARGET] = r->target;
    texts[TEXT_PATH] = r->path;
    texts[TEXT_HOST] = r->host;
    texts[TEXT_ID] = x->id;
    texts[TEXT_REFERER] = headers_value(&r->headers, HEADER_REFERER);
    texts[TEXT_AGENT] = headers_value(&r->headers, HEADER_USER_AGENT);
}

static char *texts_of(struct passage *p)
{
    return p->websocket ? (char *)(p->websocket + 1) : (char *)(p->tunnel + 1);
}

static struct passage *passage_new(const struct exchange *x)
{
    struct slice texts[TEXT_COUNT];
    size_t relay = x->websocket ? sizeof *x->websocket : sizeof *x->tunnel, bytes = sizeof(struct passage) + relay;
    gather_texts(x, texts);
    for (int i = 0; i < TEXT_COUNT; i++)
        bytes += texts[i].len;
    struct passage *p = calloc(1, bytes);
    if (!p)
        abort();
    if (x->websocket)
        p->websocket = (struct websocket *)(p + 1);
    else
        p->tunnel = (struct tunnel *)(p + 1);
    char *at = texts_of(p);
    for (int i = 0; i < TEXT_COUNT; i++) {
        p->lengths[i] = (uint32_t)texts[i].len;
        if (texts[i].len)
            memcpy(at, texts[i].at, texts[i].len);
        at += texts[i].len;
    }
    return p;
}

static void give_texts(struct passage *p, struct exchange *x)
{
    struct slice texts[TEXT_COUNT];
    struct request *r = &x->req;
    char *at = texts_of(p);
    for (int i = 0; i < TEXT_COUNT; i++) {
        texts[i] = arena_copy(&r->arena, slice_make(at, p->lengths[i]));
        at += p->lengths[i];
    }
    r->method_text = texts[TEXT_METHOD];
    r->target = texts[TEXT_TARGET];
    r->path = texts[TEXT_PATH];
    r->host = texts[TEXT_HOST];
    x->id = texts[TEXT_ID];
    if (texts[TEXT_REFERER].len)
        headers_add(&r->headers, &r->arena, HEADER_REFERER, header_name(HEADER_REFERER), texts[TEXT_REFERER]);
    if (texts[TEXT_AGENT].len)
        headers_add(&r->headers, &r->arena, HEADER_USER_AGENT, header_name(HEADER_USER_AGENT), texts[TEXT_AGENT]);
}

/* It lies somewhere else from now on. */
static void move_websocket(const struct websocket *from, struct websocket *to, struct exchange *x, struct task *wake)
{
    *to = *from;
    to->in_all = (struct link){ 0 };
    to->x = x;
    to->wake = wake;
    to->relay.rules = &to->rules;
    list_append(&to->plane->websockets, &to->in_all);
}

/* The exchange takes over all that the passage had, which is gone. */
static struct exchange *come_back(struct passage *p)
{
    struct exchange *x = exchange_new(p->plane, p->generation);
    struct request *r = &x->req;
    give_texts(p, x);
    r->started_us = p->started_us;
    p->pipe.ops->come_back(r, &p->pipe);
    r->method = p->method;
    r->version = p->version;
    r->bytes_in = p->bytes_in;
    r->bytes_out = p->bytes_out;
    x->res.status = p->status;
    x->route = p->route;
    x->service = p->service;
    x->share = p->share;
    x->node = p->node;
    x->up = p->up;
    exchange_attach(x, p->up);
    x->pick.service = p->picked_of;
    x->pick.node = p->picked;
    x->place = p->place;
    x->client = p->client;
    x->peer_is_trusted = p->peer_is_trusted;
    x->connect_us = p->connect_us;
    x->first_byte_us = p->first_byte_us;
    x->source = p->source;
    x->tries = p->tries;
    x->retries = p->retries;
    x->head_sent = true;
    x->is_websocket = p->is_websocket;
    if (p->websocket) {
        link_remove(&p->websocket->in_all);
        x->websocket = arena_alloc(&r->arena, sizeof *x->websocket);
        move_websocket(p->websocket, x->websocket, x, &x->wake);
        x->step = STEP_WEBSOCKET;
    } else {
        x->tunnel = arena_alloc(&r->arena, sizeof *x->tunnel);
        *x->tunnel = *p->tunnel;
        x->step = STEP_TUNNEL;
        x->waits = WAIT_TUNNEL;
        x->since_ms[__builtin_ctz(WAIT_TUNNEL)] = p->moved_ms;
    }
    link_remove(&p->wake.in_ready);
    free(p);
    return x;
}

/* -- moving bytes -- */

static void count_bytes(struct passage *p, uint64_t in, uint64_t out)
{
    if (p->is_websocket) {
        count(&p->plane->counters.websocket_bytes_in, in - p->bytes_in);
        count(&p->plane->counters.websocket_bytes_out, out - p->bytes_out);
    }
    p->bytes_in = in;
    p->bytes_out = out;
}

static enum rc run_tunnel(struct passage *p)
{
    struct tunnel *t = p->tunnel;
    bool moved = false;
    enum rc rc = t->out.from->io.fd < 0 ? RC_RESET : tunnel_run(t, &moved);
    count_bytes(p, t->out.bytes, t->back.bytes);
    if (moved)
        p->moved_ms = p->plane->loop->clock.now_ms;
    return rc;
}

static enum rc run_websocket(struct passage *p)
{
    struct websocket *w = p->websocket;
    const struct ws_end *client = &w->relay.ends[WS_CLIENT], *server = &w->relay.ends[WS_SERVER];
    websocket_leave_when_quiet(w);
    enum rc rc = client->stream->io.fd < 0 ? RC_RESET : ws_relay_run(&w->relay, p->plane->loop->clock.now_ms);
    websocket_count(w);
    count_bytes(p, client->bytes, server->bytes);
    return rc;
}

static uint64_t due_ms(const struct passage *p)
{
    if (p->websocket)
        return websocket_due(p->websocket);
    uint32_t idle_ms = p->service->settings.idle_ms;
    return idle_ms ? p->moved_ms + idle_ms : DEADLINE_NEVER;
}

static void run(struct passage *p)
{
    enum rc rc = p->websocket ? run_websocket(p) : run_tunnel(p);
    if (rc == RC_END || rc == RC_RESET) {
        struct exchange *x = come_back(p);
        exchange_go_on(x, x->websocket ? exchange_websocket_over(x, rc) : exchange_tunnel_over(x, rc));
        return;
    }
    if (rc == RC_LIMIT)
        loop_ready(p->plane->loop, &p->wake);
    p->pipe.ops->arm_pipe(&p->pipe, due_ms(p));
}

static void on_wake(struct task *t) { run(LINK_OWNER(t, struct passage, wake)); }

static struct passage *of_pipe(struct pipe_end *e) { return LINK_OWNER(e, struct passage, pipe); }

static void on_client(struct pipe_end *e) { loop_ready(of_pipe(e)->plane->loop, &of_pipe(e)->wake); }

static void on_upstream(struct up *u)
{
    struct passage *p = u->holder;
    loop_ready(p->plane->loop, &p->wake);
}

static void on_timeout(struct pipe_end *e)
{
    struct passage *p = of_pipe(e);
    if (due_ms(p) > p->plane->loop->clock.now_ms)
        e->ops->arm_pipe(e, due_ms(p));
    else if (p->websocket)
        run(p);                 /* a ping, or the end of somebody's time */
    else
        exchange_events.timeout(&come_back(p)->req);
}

enum next passage_begin(struct exchange *x)
{
    struct request *r = &x->req;
    struct passage *p = passage_new(x);
    p->pipe.wake = on_client;
    p->pipe.timeout = on_timeout;
    p->wake.run = on_wake;
    p->plane = x->plane;
    p->generation = x->generation;
    p->route = x->route;
    p->service = x->service;
    p->share = x->share;
    p->node = x->node;
    p->up = x->up;
    p->picked_of = x->pick.service;
    p->picked = x->pick.node;
    p->place = x->place;
    p->started_us = r->started_us;
    p->connect_us = x->connect_us;
    p->first_byte_us = x->first_byte_us;
    p->bytes_in = r->bytes_in;
    p->bytes_out = r->bytes_out;
    p->client = x->client;
    p->status = x->res.status;
    p->method = (uint8_t)r->method;
    p->version = r->version;
    p->source = x->source;
    p->tries = x->tries;
    p->retries = x->retries;
    p->peer_is_trusted = x->peer_is_trusted;
    p->is_websocket = x->is_websocket;
    p->moved_ms = p->plane->loop->clock.now_ms;
    if (x->websocket) {
        link_remove(&x->websocket->in_all);
        move_websocket(x->websocket, p->websocket, NULL, &p->wake);
    } else {
        *p->tunnel = *x->tunnel;
    }
    p->up->holder = p;
    p->up->on_wake = on_upstream;
    r->ops->leave(r, &p->pipe);
    breaker_cancel(&x->leave);
    breaker_cancel(&x->route_leave);
    exchange_recycle(x);
    loop_ready(p->plane->loop, &p->wake);       /* bytes may have come with the handshake */
    return NEXT_GONE;
}
