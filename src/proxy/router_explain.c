/* router_explain: looks at one pair after the other, by the text of its patterns. */
#include "http/request.h"
#include "proxy/router_table.h"

uint32_t router_pairs(const struct router *r) { return r->count; }

static bool takes_method(const struct router_route *route, const struct router_query *q)
{
    if (!route->methods && !route->other_count)
        return q->method != METHOD_TRACE;
    if (q->method != METHOD_OTHER)
        return route->methods >> q->method & 1;
    for (uint32_t i = 0; i < route->other_count; i++)
        if (slice_equal(route->other_methods[i], q->method_text))
            return true;
    return false;
}

static enum router_verdict verdict_of(const struct router *r, const struct router_query *q, const struct pair *p)
{
    const struct router_route *route = p->route;
    if (!host_pattern_fits(p->host, pattern_of(&r->host_patterns, p->host), q->host))
        return VERDICT_HOST;
    if (!path_pattern_fits(p->path, pattern_of(&r->path_patterns, p->path), q->path))
        return VERDICT_PATH;
    if (!takes_method(route, q))
        return VERDICT_METHOD;
    if (route->listeners && !(route->listeners >> q->listener & 1))
        return VERDICT_LISTENER;
    return route->conditions && !r->holds(route, q) ? VERDICT_CONDITIONS : VERDICT_FITS;
}

struct router_candidate router_judge(const struct router *r, const struct router_query *q, uint32_t rank)
{
    const struct pair *p = &r->pairs[rank];
    return (struct router_candidate){ p->route, p->host, p->path, verdict_of(r, q, p) };
}
