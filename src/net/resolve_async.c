#include "net/resolve_async.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/lookup.h"
#include "net/resolver.h"

enum { NAME_MAX_BYTES = 253 };          /* RFC 1035 section 2.3.4, as text */

struct addresses { struct finding finding; struct resolved resolved; };

static void free_addresses(struct finding *f) { free(f); }

static struct finding *find(struct slice name)
{
    struct addresses *a = calloc(1, sizeof *a);
    char text[NAME_MAX_BYTES + 1];
    if (!a)
        abort();
    snprintf(text, sizeof text, "%.*s", (int)name.len, name.at);
    struct resolved *r = &a->resolved;
    int n = resolve(text, 0, r->at, RESOLVED_MAX, r->why, sizeof r->why);
    r->count = n > 0 ? n : 0;
    if (n == 0)
        snprintf(r->why, sizeof r->why, "cannot resolve \"%s\": it has no address", text);
    a->finding = (struct finding){ .refs = 1, .failed = n <= 0, .free = free_addresses };
    return &a->finding;
}

static struct lookup names = {
    .name = "resolver", .find = find, .good_ms = 30000, .bad_ms = 3000, .max = 1024,
    LOOKUP_START,
};

static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

/* As inet_aton takes it: "127", "0x7f". */
static bool is_number(struct slice label)
{
    bool is_hex = label.len > 1 && label.at[0] == '0' && label.at[1] == 'x';
    for (size_t i = is_hex ? 2 : 0; i < label.len; i++) {
        unsigned char c = (unsigned char)label.at[i];
        if (!is_digit(c) && !(is_hex && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* A name in lower case, without the dot at its end. Letters, digits, '-', '_' and dots; the last label is no number:
 * the system's resolver would take "127.1" and "0x7f000001" for addresses. */
static bool normalise(struct slice name, char *out, size_t *len)
{
    size_t label = 0;
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = byte_lower((unsigned char)name.at[i]);
        if (c == '.' && i == label)
            return false;
        if (c == '.')
            label = i + 1;
        else if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
            return false;
        out[i] = (char)c;
    }
    *len = name.len;
    return label < name.len && !is_number(slice_make(out + label, name.len - label));
}

static enum rc resolve_at_once(struct slice name, uint16_t port, struct resolved *out)
{
    char text[NAME_MAX_BYTES + 1];
    snprintf(text, sizeof text, "%.*s", (int)name.len, name.at);
    int n = resolve(text, port, out->at, RESOLVED_MAX, out->why, sizeof out->why);
    out->count = n > 0 ? n : 0;
    return n > 0 ? RC_OK : RC_UNREACHABLE;
}

enum rc resolve_async(struct loop *loop, struct slice name, uint16_t port, struct resolved *out, resolve_fn *fn,
                      double who)
{
    char key[NAME_MAX_BYTES];
    size_t len;
    struct finding *f;
    if (addr_parse_ip(name, port, &out->at[0])) {
        out->count = 1;
        return RC_OK;
    }
    if (!normalise(name, key, &len)) {
        out->count = 0;
        snprintf(out->why, sizeof out->why, "cannot resolve \"%.*s\": it is neither a name nor an address",
                 name.len < NAME_MAX_BYTES ? (int)name.len : NAME_MAX_BYTES, name.at ? name.at : "");
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
