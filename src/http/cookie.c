#include "http/cookie.h"

static struct slice unquoted(struct slice s)
{
    if (s.len >= 2 && s.at[0] == '"' && s.at[s.len - 1] == '"')
        return slice_make(s.at + 1, s.len - 2);
    return s;
}

bool cookie_get(struct slice field, struct slice name, struct slice *value)
{
    while (field.len) {
        const char *end = memchr(field.at, ';', field.len);
        struct slice pair = slice_make(field.at, end ? (size_t)(end - field.at) : field.len);
        field = slice_from(field, pair.len + (end != NULL));
        const char *equals = pair.len ? memchr(pair.at, '=', pair.len) : NULL;
        if (!equals)
            continue;
        struct slice found = slice_trim(slice_make(pair.at, (size_t)(equals - pair.at)));
        if (!slice_equal(found, name))
            continue;
        *value = unquoted(slice_trim(slice_from(pair, (size_t)(equals - pair.at) + 1)));
        return true;
    }
    return false;
}

bool cookie_of_request(const struct request *r, struct slice name, struct slice *value)
{
    const struct headers *h = &r->headers;
    for (uint32_t i = h->first[HEADER_COOKIE] ? h->first[HEADER_COOKIE] - 1u : h->count; i < h->count; i++)
        if (h->at[i].id == HEADER_COOKIE && !h->at[i].removed && cookie_get(h->at[i].value, name, value))
            return true;
    return false;
}
