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

/* A query with all that it points to. */
struct asked {
    struct router_query query;
    struct request request;
    struct peer client;
    struct facts facts;
};

static int take_query(struct generation *g, const struct tide_route_query *q, struct asked *a, struct tide_error *e)
{
    struct slice port;
    *a = (struct asked){ 0 };
    a->query.method = method_of(q->method);
    a->query.method_text = q->method;
    a->query.listener = q->listener;
    if (!header_is_token(q->method))
        return refuse(e, "a method", q->method);
    if (url_split_authority(q->authority, &g->arena, &a->query.host, &port) != RC_OK)
        return refuse(e, "a host", q->authority);
    if (url_normalise(q->path, g->gateway.security.merge_slashes, &g->arena, &a->query.path) != RC_OK)
        return refuse(e, "a path", q->path);
    a->request = (struct request){ .host = a->query.host, .path = a->query.path, .method_text = q->method,
                                   .authority = q->authority };
    if (take_facts(g, q, &a->request, &a->client, e) < 0)
        return -1;
    a->facts = (struct facts){ .request = &a->request, .client = &a->client, .arena = &g->arena };
    a->query.request = &a->facts;
    return 0;
}

int tide_route_find(struct generation *g, const struct tide_route_query *q, struct tide_route_answer *out,
                    struct tide_error *e)
{
    struct asked a;
    if (take_query(g, q, &a, e) < 0)
        return -1;
    out->path = a.query.path;
    out->source = SLICE_NONE;
    if (a.query.method == METHOD_CONNECT)
        return none(out, RC_METHOD, e);
    if (g->gateway.security.deny_hidden_files && url_is_hidden(a.query.path))
        return none(out, RC_HIDDEN, e);
    struct router_answer answer;
    router_find(g->router, &a.query, &answer);
    if (a.facts.stuck || answer.is_undecided)
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

uint32_t tide_route_candidates(struct generation *g) { return router_pairs(g->router); }

int tide_route_judge(struct generation *g, const struct tide_route_query *q, struct tide_route_candidate *out,
                     struct tide_error *e)
{
    struct asked a;
    if (take_query(g, q, &a, e) < 0)
        return -1;
    for (uint32_t rank = 0; rank < router_pairs(g->router); rank++) {
        struct router_candidate c = router_judge(g->router, &a.query, rank);
        const struct route *route = (const struct route *)c.route;
        const struct question *objection = NULL;
        if (c.verdict == VERDICT_CONDITIONS)
            objection = condition_objection(route->condition, &a.facts);
        out[rank] = (struct tide_route_candidate){ (int)route->match.order, (int)c.verdict, c.host, c.path,
                                                   objection ? objection->settings.source : SLICE_NONE };
    }
    return 0;
}
