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
    out->path = query.path;
    out->source = SLICE_NONE;
    if (query.method == METHOD_CONNECT)
        return none(out, RC_METHOD, e);
    if (g->gateway.security.deny_hidden_files && url_is_hidden(query.path))
        return none(out, RC_HIDDEN, e);
    struct router_answer answer = router_find(g->router, &query);
    if (!answer.route)
        return none(out, answer.allowed || answer.any_other ? RC_METHOD : RC_NO_ROUTE, e);
    const struct route *route = (const struct route *)answer.route;
    out->route = (int)route->match.order;
    out->status = 0;
    out->source = route->settings.source;
    return 0;
}
