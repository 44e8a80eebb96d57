#include "net/resolver.h"

#include <netdb.h>
#include <stdio.h>

static found_fn *instead;

void resolver_replace(found_fn *found) { instead = found; }
bool resolver_is_replaced(void) { return instead; }

int resolve(const char *host, uint16_t port, struct addr *out, int max, char *why, size_t size)
{
    if (max > 0 && addr_parse_ip(slice_text(host), port, &out[0]))
        return 1;
    if (instead && max > 0) {
        if (!instead(slice_text(host), &out[0])) {
            snprintf(why, size, "cannot resolve \"%s\": %s", host, gai_strerror(EAI_NONAME));
            return -1;
        }
        addr_set_port(&out[0], port);
        return 1;
    }
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC }, *found;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0) {
        snprintf(why, size, "cannot resolve \"%s\": %s", host, gai_strerror(rc));
        return -1;
    }
    int n = 0;
    for (struct addrinfo *i = found; i && n < max; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
            continue;
        struct addr a = { .len = i->ai_addrlen };
        memcpy(&a.u, i->ai_addr, i->ai_addrlen);
        addr_set_port(&a, port);
        bool known = false;
        for (int k = 0; k < n; k++)
            known |= out[k].len == a.len && memcmp(&out[k].u, &a.u, a.len) == 0;
        if (!known)
            out[n++] = a;
    }
    freeaddrinfo(found);
    return n;
}
