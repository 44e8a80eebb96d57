#include "net/resolve_async.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/dns_message.h"
#include "net/lookup.h"
#include "net/resolver.h"

struct addresses { struct finding finding; struct resolved resolved; };

static void free_addresses(struct finding *f) { free(f); }

static struct finding *find(struct slice name)
{
    struct addresses *a = calloc(1, sizeof *a);
    char text[DNS_NAME_MAX + 1];
    if (!a)
        abort();
    snprintf(text, sizeof text, "%.*s", (int)name.len, name.at);
    struct resolved *r = &a->resolved;
    int n = resolve(text, 0, r->at, RESOLVED_MAX, r->why, sizeof r->why);
    r->count = n > 0 ? n : 0;
    addr_interleave(r->at, r->count);
    if (n == 0)
        snprintf(r->why, sizeof r->why, "cannot resolve \"%s\": it has no address", text);
    a->finding = (struct finding){ .refs = 1, .failed = n <= 0, .free = free_addresses };
    return &a->finding;
}

static struct lookup names = {
    .name = "resolver", .find = find, .good_ms = 30000, .bad_ms = 3000, .max = 1024,
    LOOKUP_START,
};

static enum rc resolve_at_once(struct slice name, uint16_t port, struct resolved *out)
{
    char text[DNS_NAME_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)name.len, name.at);
    int n = resolve(text, port, out->at, RESOLVED_MAX, out->why, sizeof out->why);
    out->count = n > 0 ? n : 0;
    return n > 0 ? RC_OK : RC_UNREACHABLE;
}

enum rc resolve_async(struct loop *loop, struct slice name, uint16_t port, struct resolved *out, resolve_fn *fn,
                      double who)
{
    char key[DNS_NAME_MAX];
    size_t len;
    struct finding *f;
    if (addr_parse_ip(name, port, &out->at[0])) {
        out->count = 1;
        return RC_OK;
    }
    if (!dns_name_clean(name, key, &len)) {
        out->count = 0;
        snprintf(out->why, sizeof out->why, "cannot resolve \"%.*s\": it is neither a name nor an address",
                 name.len < DNS_NAME_MAX ? (int)name.len : DNS_NAME_MAX, name.at ? name.at : "");
        return RC_UNREACHABLE;
    }
    if (resolver_is_replaced())
        return resolve_at_once(slice_make(key, len), port, out);
    enum rc rc = lookup_ask(&names, loop, slice_make(key, len), fn, who, &f);
    if (rc == RC_AGAIN)
        return rc;
    if (rc != RC_OK) {
        out->count = 0;
        snprintf(out->why, sizeof out->why, "cannot resolve \"%.*s\": too many names are being resolved", (int)len,
                 key);
        return RC_UNREACHABLE;
    }
    *out = ((struct addresses *)(void *)f)->resolved;
    finding_drop(f);
    for (int i = 0; i < out->count; i++)
        addr_set_port(&out->at[i], port);
    return out->count ? RC_OK : RC_UNREACHABLE;
}
