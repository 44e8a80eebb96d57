#include "proxy/websocket_rules.h"

static struct slice until_scheme(struct slice *rest)
{
    for (size_t i = 0; i + 3 <= rest->len; i++)
        if (memcmp(rest->at + i, "://", 3) == 0) {
            struct slice scheme = slice_make(rest->at, i);
            *rest = slice_from(*rest, i + 3);
            return scheme;
        }
    return SLICE_NONE;
}

void websocket_rules_allow(struct websocket_rules *w, struct arena *a, struct slice text)
{
    struct origin_pattern *o = arena_zero(a, sizeof *o), **end = &w->origins;
    o->host = arena_copy(a, text);
    o->scheme = until_scheme(&o->host);
    o->below = slice_has_prefix(o->host, SLICE_OF("*."));
    if (o->below)
        o->host = slice_from(o->host, 1);
    while (*end)
        end = &(*end)->next;
    *end = o;
}

static bool ends_with(struct slice s, struct slice end)
{
    return s.len > end.len && slice_equal_nocase(slice_from(s, s.len - end.len), end);
}

bool websocket_rules_let_in(const struct websocket_rules *w, struct slice origin)
{
    struct slice host = origin, scheme = until_scheme(&host);
    for (size_t i = 0; i < host.len; i++)
        if (strchr("/?#@", host.at[i]))
            return false;               /* no serialised origin: RFC 6454 section 6.2 */
    for (const struct origin_pattern *o = w->origins; o; o = o->next) {
        bool is_host = o->below ? ends_with(host, o->host) : slice_equal_nocase(host, o->host);
        if (is_host && (!o->scheme.len || slice_equal_nocase(scheme, o->scheme)))
            return true;
    }
    return false;
}
