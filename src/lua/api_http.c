/* api_http: the calls of api.h about requests that plugins make themselves. */
#include <stdio.h>
#include <stdlib.h>

#include "http/h1_hop.h"
#include "http/url.h"
#include "lua/api.h"
#include "lua/coroutine.h"
#include "proxy/call.h"

enum { CALLS_MAX = 1000, HEAD_MAX = 65536, FIELDS_MAX = 500 };

struct http_call {
    struct call call;
    struct belonging belonging;         /* to the coroutine that has begun it */
    struct vm *vm;
    double number, wait;
};

static void end_call(struct http_call *h)
{
    link_remove(&h->belonging.in_coroutine);
    slots_remove(&h->vm->calls, h->number);
    h->vm->call_count--;
    call_free(&h->call);
    free(h);
}

static void on_give_up(struct belonging *b) { end_call(LINK_OWNER(b, struct http_call, belonging)); }

static void on_news(struct call *c)
{
    struct http_call *h = (struct http_call *)(void *)c;
    coroutine_wake(h->vm, h->wait);
}

static struct http_call *find(double number)
{
    struct vm *vm = vm_here();
    return vm ? slots_get(&vm->calls, number) : NULL;
}

/* -- what the plugin wants -- */

/* Gives false with the reason in e. */
static bool refuse(struct tide_error *e, const char *what, struct slice found)
{
    size_t n = found.len < 80 ? found.len : 80;
    char quoted[81];
    for (size_t i = 0; i < n; i++)
        quoted[i] = (unsigned char)found.at[i] < ' ' || found.at[i] == 127 ? '?' : found.at[i];
    quoted[n] = 0;
    snprintf(e->text, sizeof e->text, "%s, found \"%s\"", what, quoted);
    return false;
}

static bool take_method(struct request *r, struct slice name, struct tide_error *e)
{
    r->method = method_of(name);
    if (!header_is_token(name) || name.len > 32 || r->method == METHOD_CONNECT)
        return refuse(e, "expected a method that is not CONNECT", name);
    r->method_text = arena_copy(&r->arena, name);
    return true;
}

static bool take_target(struct request *r, struct slice target, struct tide_error *e)
{
    bool good = target.len && target.len <= HEAD_MAX && target.at[0] == '/';
    for (size_t i = 0; good && i < target.len; i++)
        good = (unsigned char)target.at[i] > ' ' && (unsigned char)target.at[i] < 127 && target.at[i] != '#';
    if (!good)
        return refuse(e, "expected a path of at most 65536 bytes, a slash first, without spaces and \"#\"", target);
    target = arena_copy(&r->arena, target);
    const char *mark = memchr(target.at, '?', target.len);
    r->path = mark ? slice_make(target.at, (size_t)(mark - target.at)) : target;
    if (mark)
        r->query = slice_from(target, r->path.len + 1);
    return true;
}

static bool take_host(struct request *r, struct slice value, struct tide_error *e)
{
    struct slice host, port;
    if (r->upstream_host.len || url_split_authority(value, &r->arena, &host, &port) != RC_OK)
        return refuse(e, "expected one Host, a name and maybe a port", value);
    r->upstream_host = arena_copy(&r->arena, value);
    return true;
}

static bool take_field(struct request *r, struct slice name, struct slice value, struct tide_error *e)
{
    enum header_id id = header_id_of(name);
    if (!header_is_token(name))
        return refuse(e, "expected the name of a header field", name);
    if (!header_is_value(value))
        return refuse(e, "expected no control characters in the value of a header field", name);
    if (id == HEADER_HOST)
        return take_host(r, value, e);
    if (id == HEADER_CONTENT_LENGTH || id == HEADER_EXPECT || id == HEADER_TRAILER || h1_is_hop_by_hop(id))
        return refuse(e, "the gateway itself says how messages are framed and connections used", name);
    if (r->headers.count == FIELDS_MAX)
        return refuse(e, "expected at most 500 header fields", name);
    headers_add(&r->headers, &r->arena, id, arena_copy(&r->arena, name), arena_copy(&r->arena, slice_trim(value)));
    return true;
}

static bool take_fields(struct request *r, struct slice fields, struct tide_error *e)
{
    if (fields.len > HEAD_MAX)
        return refuse(e, "expected header fields of at most 65536 bytes together", slice_make(fields.at, 40));
    while (fields.len) {
        struct slice name = slice_text(fields.at);
        struct slice value = slice_text(slice_end(name) + 1);
        if (!take_field(r, name, value, e))
            return false;
        fields = slice_from(fields, name.len + value.len + 2);
    }
    return true;
}

/* Unless the plugin has given one. */
static void add_field(struct request *r, struct slice name, struct slice value)
{
    enum header_id id = header_id_of(name);
    for (uint32_t i = 0; i < r->headers.count; i++)
        if (slice_equal_nocase(r->headers.at[i].name, name))
            return;
    headers_add(&r->headers, &r->arena, id, id ? header_name(id) : arena_copy(&r->arena, name),
                arena_copy(&r->arena, value));
}

static void take_body(struct call *c, struct slice body)
{
    struct request *r = &c->req;
    /* RFC 9110 section 8.6: these mean something without a body too, and say so. */
    bool tells = r->method == METHOD_POST || r->method == METHOD_PUT || r->method == METHOD_PATCH;
    c->body = body.len ? arena_copy(&r->arena, body) : SLICE_NONE;
    r->body = r->sent_body = body.at || tells ? BODY_SIZED : BODY_NONE;
    r->body_bytes = r->sent_body_bytes = body.len;
}

static uint32_t ms_of(double seconds)
{
    return seconds > 1e6 ? 1000000000 : seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000 + 0.5);
}

static bool take_node(struct call *c, const struct tide_call_wish *w, const struct coroutine *co, struct tide_error *e)
{
    struct arena *a = &c->req.arena;
    if (w->service.at) {
        struct service_slot *slot = generation_service(coroutine_generation(co), w->service);
        if (!slot)
            return refuse(e, "expected the name of a service of the configuration", w->service);
        c->service = service_enter(slot, c->plane->index);
        return true;
    }
    struct adhoc_target t = {
        .is_tls = w->is_tls, .verify = w->verify, .port = w->port, .host = arena_copy(a, w->host),
        .ca = arena_copy(a, w->ca), .server_name = arena_copy(a, w->server_name),
    };
    c->adhoc = adhoc_new(c->plane, &t, a, &c->wake);
    return true;
}

static bool take(struct call *c, const struct tide_call_wish *w, const struct coroutine *co, struct tide_error *e)
{
    struct request *r = &c->req;
    if (!take_method(r, w->method, e) || !take_target(r, w->target, e) || !take_fields(r, w->fields, e) ||
        !take_node(c, w, co, e))
        return false;
    if (co->x)
        add_field(r, co->x->generation->gateway.id_header, co->x->id);
    char agent[64];
    snprintf(agent, sizeof agent, "tidegate/%s", tide_version());
    add_field(r, SLICE_OF("User-Agent"), slice_text(agent));
    take_body(c, w->body);
    const struct service *s = c->service ? c->service : adhoc_service();
    c->timeout_ms = ms_of(w->timeout);
    c->connect_ms = w->connect_timeout > 0 ? ms_of(w->connect_timeout) : s->settings.connect_ms;
    c->body_max = w->body_max < 4e9 ? (uint64_t)w->body_max : UINT64_MAX;
    c->streams = w->streams;
    return true;
}

double tide_call_start(const struct tide_call_wish *w, double wait, struct tide_error *e)
{
    struct vm *vm = vm_here();
    struct coroutine *co = vm ? vm->current : NULL;
    if (!co) {
        snprintf(e->text, sizeof e->text, "not while plugins are loaded");
        return -1;
    }
    if (vm->call_count == CALLS_MAX) {
        snprintf(e->text, sizeof e->text, "too many requests under way");
        return 0;
    }
    struct http_call *h = malloc(sizeof *h);
    if (!h)
        abort();
    *h = (struct http_call){ .vm = vm, .wait = wait, .belonging.give_up = on_give_up };
    call_init(&h->call, vm->plane);
    h->call.tell = on_news;
    h->number = slots_add(&vm->calls, h);
    vm->call_count++;
    list_append(&co->belongings, &h->belonging.in_coroutine);
    if (!take(&h->call, w, co, e)) {
        end_call(h);
        return -1;
    }
    call_start(&h->call);
    return h->number;
}

/* -- what comes -- */

int tide_call_read(double call, struct tide_call_news *out)
{
    const struct http_call *h = find(call);
    if (!h)
        return TIDE_OVER;
    const struct call *c = &h->call;
    bool failed = c->state == CALL_FAILED;
    *out = (struct tide_call_news){
        .status = failed ? 0 : c->res.status, .body = buf_slice(&c->in), .ended = c->state != CALL_PAUSES,
        .why = c->why, .phase = call_phase(c),
    };
    return c->state == CALL_RUNS ? TIDE_WAIT : TIDE_OK;
}

int tide_call_field(double call, uint32_t *at, struct slice *field, struct slice *value)
{
    const struct http_call *h = find(call);
    if (!h)
        return TIDE_OVER;
    const struct headers *list = &h->call.res.headers;
    while (*at < list->count) {
        const struct header *f = &list->at[(*at)++];
        if (f->skip)
            continue;
        *field = f->name;
        *value = f->value;
        return TIDE_OK;
    }
    return TIDE_ABSENT;
}

int tide_call_more(double call, double wait)
{
    struct http_call *h = find(call);
    if (!h)
        return TIDE_OVER;
    h->wait = wait;
    if (h->call.state != CALL_PAUSES)
        return TIDE_OK;
    call_more(&h->call);
    return TIDE_WAIT;
}

void tide_call_end(double call)
{
    struct http_call *h = find(call);
    if (h)
        end_call(h);
}
