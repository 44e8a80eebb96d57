/* api_explain: the call of api.h that says where a request would go. It looks in the order in which the exchange does:
 * proxy/exchange_local.c, step_route. */
#include <stdio.h>

#include "http/request.h"
#include "http/url.h"
#include "lua/api.h"
#include "proxy/generation.h"

static int refuse(struct tide_error *e, const char *what, struct slice found)
{
    snprintf(e->text, sizeof e->text, "expected %s, found \"%.*s\"", what, (int)found.len, found.at);
    return -1;
}

static int none(struct tide_route_answer *out, enum rc why, struct tide_error *e)
{
    out->route = -1;
    out->status = rc_status(why);
    snprintf(e->text, sizeof e->text, "%s", rc_word(why));
    return 0;
}

/* What conditions ask about, of the request that the query describes. */
static int take_facts(struct generation *g, const struct tide_route_query *q, struct request *r, struct peer *client,
                      struct tide_error *e)
{
    struct slice fields = q->fields;
    while (fields.len) {
        struct slice name = slice_text(fields.at), value = slice_text(slice_end(name) + 1);
        if (!header_is_token(name))
            return refuse(e, "the name of a header field", name);
        if (!header_is_value(value))
            return refuse(e, "a header value without control characters", value);
        headers_add(&r->headers, &g->arena, header_id_of(name), name, slice_trim(value));
        fields = slice_from(fields, name.len + value.len + 2);
    }
    if (!peer_parse(q->client_ip, client))
        return refuse(e, "an address", q->client_ip);
    r->query = q->query;
    r->is_tls = q->sni != NULL;
    r->tls_version = q->sni ? "TLS" : NULL;
    r->tls_name = q->sni && *q->sni ? q->sni : NULL;
    return 0;
}

int tide_route_find(struct generation *g, const struct tide_route_query *q, struct tide_route_answer *out,
                    struct tide_error *e)
{
    struct router_query query = { .method = method_of(q->method), .method_text = q->method, .listener = q->listener };
    struct slice port;
    if (!header_is_token(q->method))
        return refuse(e, "a method", q->method);
    if (url_split_authority(q->authority, &g->arena, &query.host, &port) != RC_OK)
        return refuse(e, "a host", q->authority);
    if (url_normalise(q->path, g->gateway.security.merge_slashes, &g->arena, &query.path) != RC_OK)
        return refuse(e, "a path", q->path);
    struct request request = { .host = query.host, .path = query.path, .method_text = q->method,
                               .authority = q->authority };
    struct peer client;
    if (take_facts(g, q, &request, &client, e) < 0)
        return -1;
    struct facts facts = { .request = &request, .client = &client, .arena = &g->arena };
    query.request = &facts;
    out->path = query.path;
    out->source = SLICE_NONE;
    if (query.method == METHOD_CONNECT)
        return none(out, RC_METHOD, e);
    if (g->gateway.security.deny_hidden_files && url_is_hidden(query.path))
        return none(out, RC_HIDDEN, e);
    struct router_answer answer = router_find(g->router, &query);
    if (facts.stuck)
        return none(out, RC_UNDECIDED, e);
    if (!answer.route)
        return none(out, answer.allowed || answer.any_other ? RC_METHOD : RC_NO_ROUTE, e);
    const struct route *route = (const struct route *)answer.route;
    out->route = (int)route->match.order;
    out->status = 0;
    out->source = route->settings.source;
    out->preflight = route->settings.preflight;
    return 0;
}
