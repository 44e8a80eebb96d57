/* api_config: the calls of api.h that build a generation. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pace.h"
#include "http/request.h"
#include "lua/api.h"
#include "proxy/access_log.h"
#include "proxy/generation.h"
#include "proxy/traffic.h"

/* What was asked for and is put together by tide_generation_finish. Only one generation is built at a time, by one
 * thread: lists that grow live here, the rest in the generation's arena. */
struct pair { struct slice host, path; };
struct text { struct slice text; struct text *next; };
struct route_wish { struct text *hosts, **hosts_end, *paths, **paths_end, *others; uint32_t other_count; };

struct builder {
    struct generation *g;
    struct node_settings **nodes;       /* of all services, in order */
    uint32_t *node_service, node_count;
    uint32_t next_listener, next_service, next_node, next_log;  /* what tide_generation_finish has not seen yet */
    struct route_wish **wishes;         /* by route index */
};
static _Thread_local struct builder b;

static int refuse(struct tide_error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return -1;
}

/* Grows by doubling at powers of two. */
static void *grown(void *at, uint32_t count, size_t size)
{
    if (count & (count - 1))
        return at;
    at = realloc(at, (count ? 2 * (size_t)count : 1) * size);
    if (!at)
        abort();
    return at;
}

static void forget(void)
{
    free(b.nodes);
    free(b.node_service);
    free(b.wishes);
    b = (struct builder){ 0 };
}

struct generation *tide_generation_new(void)
{
    forget();
    b.g = generation_new();
    return b.g;
}

void tide_generation_drop(struct generation *g)
{
    if (b.g == g)                       /* another one may be in the making */
        forget();
    generation_free(g);
}

const char *tide_generation_text(struct generation *g, const char *at, size_t len)
{
    return arena_copy(&g->arena, slice_make(at, len)).at;
}

void tide_generation_set_plugins(struct generation *g, const char *at, size_t len)
{
    g->plugins = arena_copy(&g->arena, slice_make(at, len));
}

struct gateway_settings *tide_generation_gateway(struct generation *g) { return &g->gateway; }

int tide_generation_trust(struct generation *g, const char *cidr, size_t len)
{
    struct network n;
    if (!network_parse(slice_make(cidr, len), &n))
        return -1;
    g->trusted = grown(g->trusted, g->trusted_count, sizeof *g->trusted);
    g->trusted[g->trusted_count++] = n;
    return 0;
}

struct listener_settings *tide_generation_add_listener(struct generation *g)
{
    struct listener_use *l = arena_zero(&g->arena, sizeof *l);
    g->listeners = grown(g->listeners, g->listener_count, sizeof *g->listeners);
    g->listeners[g->listener_count++] = l;
    return &l->settings;
}

struct service_settings *tide_generation_add_service(struct generation *g)
{
    struct service_slot *s = arena_zero(&g->arena, sizeof *s);
    g->services = grown(g->services, g->service_count, sizeof *g->services);
    g->services[g->service_count++] = s;
    return &s->settings;
}

void tide_generation_discover(struct generation *g, const char *kind, const char *words)
{
    g->services[g->service_count - 1]->source = source_want(slice_text(kind), slice_text(words));
}

struct node_settings *tide_generation_add_node(struct generation *g)
{
    struct node_settings *n = arena_zero(&g->arena, sizeof *n);
    b.nodes = grown(b.nodes, b.node_count, sizeof *b.nodes);
    b.node_service = grown(b.node_service, b.node_count, sizeof *b.node_service);
    b.nodes[b.node_count] = n;
    b.node_service[b.node_count++] = g->service_count - 1;
    return n;
}

struct route_settings *tide_generation_add_route(struct generation *g)
{
    pace_keep();
    struct route *r = arena_zero(&g->arena, sizeof *r);
    struct route_wish *w = arena_zero(&g->arena, sizeof *w);
    w->hosts_end = &w->hosts;
    w->paths_end = &w->paths;
    g->routes = grown(g->routes, g->route_count, sizeof *g->routes);
    b.wishes = grown(b.wishes, g->route_count, sizeof(*b.wishes));
    b.wishes[g->route_count] = w;
    r->match.order = g->route_count;
    r->chain = g->route_count + 1;
    g->routes[g->route_count++] = r;
    return &r->settings;
}

struct access_log_settings *tide_generation_add_access_log(struct generation *g)
{
    struct access_log *l = arena_zero(&g->arena, sizeof *l);
    g->logs = grown(g->logs, g->log_count, sizeof *g->logs);
    g->logs[g->log_count++] = l;
    return &l->settings;
}

/* -- listeners -- */

static struct tls_context *server_context(struct listener_use *l, struct tide_error *e)
{
    struct tls_server_settings s = { l->settings.min_version, l->settings.ciphers, l->settings.client_auth,
                                     l->settings.client_ca };
    if (!l->tls)
        l->tls = tls_server_new(&s, e->text, sizeof e->text);
    return l->tls;
}

int tide_generation_add_certificate(struct generation *g, const char *cert, const char *key, const char *ocsp,
                                    struct tide_error *e)
{
    struct listener_use *l = g->listeners[g->listener_count - 1];
    struct tls_context *t = server_context(l, e);
    return t && tls_server_add(t, cert, key, ocsp, e->text, sizeof e->text) == RC_OK ? 0 : -1;
}

static int finish_listener(struct listener_use *l, struct tide_error *e)
{
    if (!addr_parse(l->settings.address, &l->addr))
        return refuse(e, "\"%s\" is not an address to listen on", l->settings.address.at);
    if (l->settings.tls && !l->tls)
        return refuse(e, "a TLS listener needs a certificate");
    return 0;
}

/* -- routes -- */

static struct text *add_text(struct generation *g, const char *at, size_t len)
{
    struct text *t = arena_zero(&g->arena, sizeof *t);
    t->text = arena_copy(&g->arena, slice_make(at, len));
    return t;
}

static int add_pattern(struct text ***end, struct slice pattern, const struct pattern_error *wrong,
                       struct tide_error *e)
{
    if (!pattern.at)
        return refuse(e, "%s", wrong->text);
    struct text *t = arena_zero(&b.g->arena, sizeof *t);
    t->text = pattern;
    **end = t;
    *end = &t->next;
    return 0;
}

int tide_generation_add_host(struct generation *g, const char *host, size_t len, struct tide_error *e)
{
    struct slice pattern = SLICE_NONE;
    struct pattern_error wrong = { "" };
    (void)host_pattern_parse(slice_make(host, len), &g->arena, &pattern, &wrong);       /* leaves it empty */
    return add_pattern(&b.wishes[g->route_count - 1]->hosts_end, pattern, &wrong, e);
}

int tide_generation_add_path(struct generation *g, const char *path, size_t len, struct tide_error *e)
{
    struct slice pattern = SLICE_NONE;
    struct pattern_error wrong = { "" };
    (void)path_pattern_parse(slice_make(path, len), g->gateway.security.merge_slashes, &g->arena, &pattern, &wrong);
    return add_pattern(&b.wishes[g->route_count - 1]->paths_end, pattern, &wrong, e);
}

uint32_t tide_method_bit(const char *method, size_t len)
{
    enum method m = method_of(slice_make(method, len));
    return m == METHOD_OTHER ? 0 : 1u << m;
}

int tide_generation_add_method(struct generation *g, const char *method, size_t len, struct tide_error *e)
{
    struct route *r = g->routes[g->route_count - 1];
    struct route_wish *w = b.wishes[g->route_count - 1];
    struct slice name = slice_make(method, len);
    enum method m = method_of(name);
    if (!header_is_token(name) || m == METHOD_CONNECT)
        return refuse(e, "expected a method that is not CONNECT, found \"%.*s\"", (int)len, method);
    if (m != METHOD_OTHER) {
        r->match.methods |= 1u << m;
        return 0;
    }
    struct text *t = add_text(g, method, len);
    t->next = w->others;
    w->others = t;
    w->other_count++;
    return 0;
}

static int add_field(struct generation *g, struct fixed_header **end, const char *name, size_t name_len,
                     const char *value, size_t value_len, struct tide_error *e)
{
    struct slice n = slice_make(name, name_len), v = slice_make(value, value_len);
    if (!header_is_token(n))
        return refuse(e, "\"%.*s\" is not a header name", (int)name_len, name);
    if (!header_is_value(v))
        return refuse(e, "a header value may not hold control characters");
    switch (header_id_of(n)) {
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_CONNECTION: return refuse(e, "%.*s is written by the gateway", (int)name_len, name);
    default: break;
    }
    struct fixed_header *h = arena_zero(&g->arena, sizeof *h);
    while (*end)
        end = &(*end)->next;
    h->name = arena_copy(&g->arena, n);
    h->value = arena_copy(&g->arena, slice_trim(v));
    *end = h;
    return 0;
}

int tide_generation_add_header(struct generation *g, const char *name, size_t name_len, const char *value,
                               size_t value_len, struct tide_error *e)
{
    return add_field(g, &g->routes[g->route_count - 1]->headers, name, name_len, value, value_len, e);
}

struct websocket_settings *tide_generation_websocket(struct generation *g)
{
    struct websocket_rules *w = arena_zero(&g->arena, sizeof *w);
    g->routes[g->route_count - 1]->websocket = w;
    return &w->settings;
}

void tide_generation_add_origin(struct generation *g, const char *at, size_t len)
{
    websocket_rules_allow(g->routes[g->route_count - 1]->websocket, &g->arena, slice_make(at, len));
}

int tide_generation_add_handshake_header(struct generation *g, const char *name, size_t name_len, const char *value,
                                         size_t value_len, struct tide_error *e)
{
    struct websocket_rules *w = g->routes[g->route_count - 1]->websocket;
    enum header_id id = header_id_of(slice_make(name, name_len));
    if (id == HEADER_UPGRADE || id == HEADER_HOST ||
        (name_len > 14 && slice_equal_nocase(slice_make(name, 14), SLICE_OF("Sec-WebSocket-"))))
        return refuse(e, "%.*s is written by the gateway", (int)name_len, name);
    return add_field(g, &w->headers, name, name_len, value, value_len, e);
}

static int finish_route(struct generation *g, struct route *r, const struct route_wish *w, struct tide_error *e)
{
    static struct text any;             /* stands for "no host" and "no path" */
    struct regex_error wrong;
    r->match.priority = r->settings.priority;
    r->match.listeners = r->settings.listeners;
    if (r->condition) {
        condition_finish(r->condition);
        r->match.conditions = r->condition->count;
        g->has_conditions = true;
    }
    if (w->other_count) {
        struct slice *names = arena_alloc(&g->arena, w->other_count * sizeof *names);
        uint32_t n = 0;
        for (const struct text *t = w->others; t; t = t->next)
            names[n++] = t->text;
        r->match.other_methods = names;
        r->match.other_count = n;
    }
    if (r->settings.action == ACTION_SERVICE && r->settings.service >= 0)
        r->service = g->services[r->settings.service];
    if (r->settings.breaker.is_on && !r->state)
        r->state = registry_route(r->settings.name);
    r->traffic = traffic_number("route", r->settings.name, r->service ? r->service->settings.name : SLICE_OF(""));
    for (const struct text *h = w->hosts ? w->hosts : &any; h; h = h->next)
        for (const struct text *p = w->paths ? w->paths : &any; p; p = p->next)
            if (router_add(g->router, h->text, p->text, &r->match, &wrong) != RC_OK)
                return refuse(e, "expected a regular expression: %s", wrong.text);
    return 0;
}

/* -- services -- */

static int finish_node(struct service_slot *s, const struct node_settings *n, struct tide_error *e)
{
    if (wish_make(&s->wishes[s->wish_count], n)) {
        s->wish_count++;
        return 0;
    }
    if (n->is_unix)
        return refuse(e, "the path of a unix socket must be shorter than 108 bytes: \"%.*s\"", (int)n->host.len,
                      n->host.at);
    return refuse(e, "cannot resolve \"%.*s\": it is neither a name nor an address", (int)n->host.len, n->host.at);
}

/* Nodes come in the order of their services. */
static int finish_nodes(struct generation *g, uint32_t index, struct tide_error *e)
{
    struct service_slot *s = g->services[index];
    uint32_t end = b.next_node;
    while (end < b.node_count && b.node_service[end] == index)
        end++;
    if (!s->wishes)
        s->wishes = arena_alloc(&g->arena, (end - b.next_node + 1) * sizeof *s->wishes);
    while (b.next_node < end) {
        const struct node_settings *n = b.nodes[b.next_node++];
        if (n->enabled && finish_node(s, n, e) < 0)
            return -1;
    }
    return 0;
}

static int finish_service(struct service_slot *s, struct tide_error *e)
{
    if (s->wish_count > BALANCER_TURNS_MAX)
        return refuse(e, "more than %d nodes", (int)BALANCER_TURNS_MAX);
    if (s->settings.protocol != PROTOCOL_HTTPS)
        return 0;
    struct tls_client_settings t = { s->settings.tls_verify, s->settings.tls_ca, s->settings.tls_cert,
                                     s->settings.tls_key };
    s->tls = tls_client_new(&t, e->text, sizeof e->text);
    return s->tls ? 0 : -1;
}

int tide_generation_finish(struct generation *g, struct tide_error *e, int *what, int *index)
{
    for (*what = PART_LISTENER; b.next_listener < g->listener_count;)
        if (*index = (int)b.next_listener, finish_listener(g->listeners[b.next_listener++], e) < 0)
            return -1;
    for (*what = PART_SERVICE; b.next_service < g->service_count;) {
        *index = (int)b.next_service;
        if (finish_nodes(g, b.next_service, e) < 0 || finish_service(g->services[b.next_service++], e) < 0)
            return -1;
    }
    for (*what = PART_ACCESS_LOG; b.next_log < g->log_count;)
        if (*index = (int)b.next_log, !access_log_compile(g->logs[b.next_log++], &g->arena, e->text, sizeof e->text))
            return -1;
    *what = PART_ROUTE;
    for (uint32_t i = 0; i < g->route_count; i++, pace_keep())
        if (*index = (int)i, finish_route(g, g->routes[i], b.wishes[i], e) < 0)
            return -1;
    router_seal(g->router);
    g->id_header = header_id_of(g->gateway.id_header);
    forget();
    return 0;
}

void tide_keep_pace(void) { pace_look(); }

/* -- checks -- */

int tide_address_check(const char *at, size_t len, struct tide_error *e)
{
    struct addr a;
    if (len >= 9 && memcmp(at, "localhost", 9) == 0 && len < ADDR_TEXT) {
        char literal[ADDR_TEXT + 16];
        int n = snprintf(literal, sizeof literal, "127.0.0.1%.*s", (int)(len - 9), at + 9);
        return tide_address_check(literal, (size_t)n, e);
    }
    if (!addr_parse(slice_make(at, len), &a))
        return refuse(e, "expected \"host:port\" with an IP address, \":port\" or \"unix:/path\"");
    e->text[addr_print(&a, e->text)] = 0;
    return 0;
}

int tide_cidr_check(const char *at, size_t len)
{
    struct network n;
    return network_parse(slice_make(at, len), &n) ? 0 : -1;
}

int tide_regex_check(const char *pattern, size_t len, int nocase, struct tide_error *e)
{
    struct regex *regex;
    struct regex_error wrong;
    if (regex_compile(slice_make(pattern, len), nocase ? REGEX_NOCASE : 0, &regex, &wrong) != RC_OK)
        return refuse(e, "%s", wrong.text);
    regex_free(regex);
    return 0;
}
