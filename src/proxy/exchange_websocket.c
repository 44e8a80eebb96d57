/* The exchange as a WebSocket: its handshake, and then its frames both ways. */
#include <stdlib.h>

#include "base/log.h"
#include "base/log_limit.h"
#include "base/utf8.h"
#include "proxy/handshake.h"
#include "proxy/passage.h"
#include "proxy/steps.h"
#include "proxy/websocket.h"

enum { QUIET_MS = 1000 };       /* without a message, before one that is to be closed is closed */

/* -- the handshake -- */

enum rc exchange_check_handshake(struct exchange *x)
{
    static _Thread_local struct log_limit limit;
    const char *why;
    enum rc rc = handshake_check_request(x, &why);
    x->opens_websocket = true;
    if (rc != RC_OK && log_limit_passes(&limit, "websocket"))
        log_info("websocket", rc_word(rc), "why", why, "origin",
                 rc == RC_ORIGIN ? log_slice(headers_value(&x->req.headers, HEADER_ORIGIN)) : NULL, "client",
                 log_slice(x->req.peer_text), "request", log_slice(x->id));
    return rc;
}

enum rc exchange_check_switch(struct exchange *x)
{
    if (x->req.wants_upgrade)
        return handshake_check_response(x, &x->up->why);
    x->up->why = "a 101 that was not asked for";
    return RC_UPSTREAM_BAD;
}

/* -- messages -- */

static struct websocket *of_relay(struct ws_relay *r) { return LINK_OWNER(r, struct websocket, relay); }

/* A compressed message as it was meant. False: it is none, and both ends are told. */
static bool inflate(struct websocket *w, struct slice in, bool is_text, struct slice *out)
{
    struct ws_shared *s = w->relay.shared;
    buf_reset(&s->inflated);
    s->inflated.max = UINT32_MAX;
    enum rc rc = ws_inflate(&s->zip, in, &s->inflated, w->rules.max_message);
    *out = buf_slice(&s->inflated);
    if (rc == RC_OK && (!is_text || utf8_is_valid(*out)))
        return true;
    if (rc == RC_LIMIT)
        ws_relay_close(&w->relay, WS_CLOSE_TOO_BIG, SLICE_OF("message too big"), "message too big");
    else
        ws_relay_close(&w->relay, WS_CLOSE_NOT_UTF8, SLICE_OF("broken message"),
                       rc == RC_OK ? "text is not UTF-8" : "broken compressed message");
    return false;
}

/* What a plugin has made of a compressed message leaves compressed, where that is worth while. */
static void deflate(struct websocket *w, enum ws_side from, struct ws_message *m)
{
    enum { WORTH_FROM = 64 };
    struct ws_shared *s = w->relay.shared;
    unsigned bits = from == WS_CLIENT ? w->terms.client_bits : w->terms.server_bits;
    if (!m->is_compressed || m->changed.len < WORTH_FROM)
        return;
    buf_reset(&s->deflated);
    s->deflated.max = UINT32_MAX;
    if (ws_deflate(&s->zip, m->changed, bits >= 8 && bits <= 15 ? bits : 15, &s->deflated) != RC_OK)
        return;
    m->changed = buf_slice(&s->deflated);
    m->changed_is_compressed = true;
}

static enum rc on_message(struct ws_relay *r, enum ws_side from, struct ws_message *m)
{
    struct websocket *w = of_relay(r);
    struct exchange *x = w->x;
    bool is_first = !x->lines[from == WS_CLIENT ? LINE_REQUEST_BODY : LINE_MAIN];
    struct slice data = m->data;
    m->verdict = WS_DROP;
    if (is_first && m->is_compressed && !inflate(w, m->data, m->opcode == WS_TEXT, &data))
        return RC_OK;
    enum rc rc = x->plane->hooks->message(x, from == WS_CLIENT ? HOOK_MESSAGE : HOOK_MESSAGE_BACK, data, m);
    if (rc == RC_OK && m->verdict == WS_CHANGE)
        deflate(w, from, m);
    if (rc != RC_OK && rc != RC_AGAIN) {
        m->verdict = WS_DROP;
        ws_relay_close(r, WS_CLOSE_INTERNAL, SLICE_OF("internal error"), "a plugin failed");
        return RC_OK;
    }
    return rc;
}

static const struct ws_events events = { .message = on_message };

/* -- the relay -- */

enum next exchange_start_websocket(struct exchange *x, struct slice early_client, struct slice early_up)
{
    static const struct ws_times patient = { .write_ms = 10000 };
    struct websocket *w = x->websocket;
    const struct websocket_rules *r = x->route->websocket;
    w->x = x;
    w->plane = x->plane;
    w->route = x->route;
    w->wake = &x->wake;
    w->rules.times = patient;
    w->rules.max_message = WEBSOCKET_MESSAGE_MAX;
    const struct websocket_settings *s = x->websocket_wish ? x->websocket_wish : r ? &r->settings : NULL;
    if (s) {
        w->rules.times = (struct ws_times){ s->ping_ms, s->pong_ms, s->write_ms, s->idle_ms };
        w->rules.max_message = s->max_message;
    }
    w->rules.sees_messages = has(x, HOOK_MESSAGE) || has(x, HOOK_WS_OPEN);
    w->relay.rules = &w->rules;
    w->relay.events = &events;
    w->relay.shared = &x->plane->ws_shared;
    ws_relay_begin(&w->relay, NULL, &x->up->stream, early_client, early_up, loop_of(x)->clock.now_ms);
    list_append(&x->plane->websockets, &w->in_all);
    w->is_open = true;
    return go(x, STEP_WEBSOCKET);
}

void websocket_count(struct websocket *w)
{
    const struct ws_end *client = &w->relay.ends[WS_CLIENT], *server = &w->relay.ends[WS_SERVER];
    count(&w->plane->counters.websocket_messages_in, client->messages - w->messages_in);
    count(&w->plane->counters.websocket_messages_out, server->messages - w->messages_out);
    w->messages_in = client->messages;
    w->messages_out = server->messages;
}

static void tell_end(struct websocket *w)
{
    const struct ws_relay *r = &w->relay;
    struct exchange *x = w->x;
    static _Thread_local struct log_limit limit;
    if (!r->why)
        return;
    count(&x->plane->counters.websocket_errors, 1);
    if (log_limit_passes(&limit, "websocket"))
        log_info("websocket", r->why, "from", r->by == WS_CLIENT ? "client" : "upstream", "client",
                 log_slice(x->req.peer_text), "route", log_slice(x->route->settings.name), "request", log_slice(x->id));
}

static void run_close_hook(struct exchange *x)
{
    if (!has(x, HOOK_WS_CLOSE))
        return;
    x->plane->hooks->cancel(x);
    (void)x->plane->hooks->run(x, HOOK_WS_CLOSE);       /* an error was logged, and changes nothing any more */
}

void exchange_end_websocket(struct exchange *x)
{
    struct websocket *w = x->websocket;
    if (!w || !w->is_open)
        return;
    w->is_open = false;
    link_remove(&w->in_all);
    ws_relay_free(&w->relay);
}

void websocket_leave_when_quiet(struct websocket *w)
{
    uint64_t now = w->plane->loop->clock.now_ms;
    if (w->closes_when_quiet && now - w->relay.moved_ms >= QUIET_MS && ws_relay_is_quiet(&w->relay))
        ws_relay_close(&w->relay, WS_CLOSE_RESTART, SLICE_OF("configuration changed"), NULL);
}

uint64_t websocket_due(struct websocket *w)
{
    uint64_t due = ws_relay_due(&w->relay), quiet = w->relay.moved_ms + QUIET_MS;
    return w->closes_when_quiet && !w->relay.closing_ms && quiet < due ? quiet : due;
}

/* False: it waits. What has come to an end meanwhile does not wait for it. */
static bool run_open_hook(struct exchange *x)
{
    struct websocket *w = x->websocket;
    if (!has(x, HOOK_WS_OPEN) || w->was_opened)
        return true;
    if (w->relay.closing_ms || w->relay.ends[WS_CLIENT].stream->io.fd < 0) {
        x->plane->hooks->cancel(x);
        w->was_opened = true;
        return true;
    }
    enum rc rc = x->plane->hooks->run(x, HOOK_WS_OPEN);
    w->was_opened = rc != RC_AGAIN;
    if (rc != RC_OK && rc != RC_AGAIN)
        ws_relay_close(&w->relay, WS_CLOSE_INTERNAL, SLICE_OF("internal error"), "a plugin failed");
    return w->was_opened;
}

enum next exchange_websocket_over(struct exchange *x, enum rc rc)
{
    tell_end(x->websocket);
    run_close_hook(x);
    exchange_drop_up(x);
    return rc == RC_END ? NEXT_DONE : NEXT_CUT;
}

enum next step_websocket(struct exchange *x)
{
    struct websocket *w = x->websocket;
    struct ws_end *client = &w->relay.ends[WS_CLIENT];
    enum next next;
    if (!client->stream) {
        client->stream = exchange_raw_client(x, &next);
        if (!client->stream)
            return next;
        if (passage_may_begin(x))
            return passage_begin(x);
    }
    if (!run_open_hook(x))
        return NEXT_WAIT;
    websocket_leave_when_quiet(w);
    w->is_running = true;
    enum rc rc = client->stream->io.fd < 0 ? RC_RESET : ws_relay_run(&w->relay, loop_of(x)->clock.now_ms);
    w->is_running = false;
    websocket_count(w);
    exchange_count_tunnel(x, client->bytes, w->relay.ends[WS_SERVER].bytes);
    if (rc == RC_END || rc == RC_RESET)
        return exchange_websocket_over(x, rc);
    if (rc == RC_LIMIT)
        loop_ready(loop_of(x), &x->wake);
    return NEXT_WAIT;
}

/* -- all of a loop -- */

static void close_one(struct websocket *w, unsigned code, struct slice reason)
{
    ws_relay_close(&w->relay, code, reason, NULL);
    loop_ready(w->plane->loop, w->wake);
}

void websockets_leave(struct plane *p)
{
    for (struct link *l = p->websockets.next; l != &p->websockets; l = l->next)
        close_one(LINK_OWNER(l, struct websocket, in_all), WS_CLOSE_GOING_AWAY, SLICE_OF("shutting down"));
}

static int compare_digests(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;
    return one < two ? -1 : one > two;
}

/* Of the routes that may close WebSockets, in order; to be freed. */
static uint64_t *digests_of(const struct generation *g, size_t *count)
{
    uint64_t *all = malloc((g->route_count + 1) * sizeof *all);
    if (!all)
        abort();
    *count = 0;
    for (uint32_t i = 0; i < g->route_count; i++) {
        const struct websocket_rules *r = g->routes[i]->websocket;
        if (r && r->settings.digest)
            all[(*count)++] = r->settings.digest;
    }
    qsort(all, *count, sizeof *all, compare_digests);
    return all;
}

static bool may_close(const struct websocket *w)
{
    const struct websocket_rules *r = w->route->websocket;
    return r && r->settings.on_change != ON_CHANGE_KEEP && !w->closes_when_quiet;
}

void websockets_review(struct plane *p, const struct generation *g)
{
    uint64_t *digests = NULL;
    size_t count = 0;
    for (struct link *l = p->websockets.next; l != &p->websockets; l = l->next) {
        struct websocket *w = LINK_OWNER(l, struct websocket, in_all);
        if (!may_close(w))
            continue;
        const struct websocket_rules *r = w->route->websocket;
        if (!digests)
            digests = digests_of(g, &count);
        if (bsearch(&r->settings.digest, digests, count, sizeof *digests, compare_digests))
            continue;
        if (r->settings.on_change == ON_CHANGE_CLOSE)
            close_one(w, WS_CLOSE_RESTART, SLICE_OF("configuration changed"));
        w->closes_when_quiet = true;
        loop_ready(w->plane->loop, w->wake);
    }
    free(digests);
}
