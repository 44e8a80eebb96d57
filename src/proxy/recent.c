#include "proxy/recent.h"

#include <stdlib.h>
#include <string.h>

struct recent_head { uint16_t method_len, host_len, path_len, client_len, listener; char text[RECENT_TEXT]; };

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < 0x20)
            return false;
    return true;
}

static void put(struct recent_head *h, size_t *at, struct slice s)
{
    if (s.len)                          /* a host that is not there has no bytes to point to */
        memcpy(h->text + *at, s.at, s.len);
    *at += s.len;
}

void recent_keep(struct recent *r, uint64_t now_ms, const struct recent_seen *seen)
{
    size_t at = 0;
    r->due_ms = now_ms + RECENT_EVERY_MS;
    if (seen->method.len + seen->host.len + seen->path.len + seen->client.len > RECENT_TEXT || !is_plain(seen->path))
        return;
    if (!r->heads && !(r->heads = calloc(RECENT_REQUESTS, sizeof *r->heads)))
        abort();
    struct recent_head *h = &r->heads[r->count++ % RECENT_REQUESTS];
    h->method_len = (uint16_t)seen->method.len;
    h->host_len = (uint16_t)seen->host.len;
    h->path_len = (uint16_t)seen->path.len;
    h->client_len = (uint16_t)seen->client.len;
    h->listener = (uint16_t)seen->listener;
    put(h, &at, seen->method);
    put(h, &at, seen->host);
    put(h, &at, seen->path);
    put(h, &at, seen->client);
}

void recent_switch(struct recent *r, bool on)
{
    if (on && r->due_ms != RECENT_NEVER)
        return;
    recent_free(r);
    r->due_ms = on ? 0 : RECENT_NEVER;
}

void recent_each(const struct recent *r, void (*tell)(void *who, const struct recent_seen *seen), void *who)
{
    uint32_t first = r->count > RECENT_REQUESTS ? r->count - RECENT_REQUESTS : 0;
    for (uint32_t i = first; i < r->count; i++) {
        const struct recent_head *h = &r->heads[i % RECENT_REQUESTS];
        const char *at = h->text;
        struct recent_seen seen = {
            .method = slice_make(at, h->method_len),
            .host = slice_make(at + h->method_len, h->host_len),
            .path = slice_make(at + h->method_len + h->host_len, h->path_len),
            .client = slice_make(at + h->method_len + h->host_len + h->path_len, h->client_len),
            .listener = h->listener,
        };
        tell(who, &seen);
    }
}

void recent_free(struct recent *r)
{
    free(r->heads);
    *r = (struct recent){ 0 };
}
