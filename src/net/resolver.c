#include "net/resolver.h"

#include <netdb.h>
#include <stdio.h>

int resolve(const char *host, uint16_t port, struct addr *out, int max, char *why, size_t size)
{
    if (max > 0 && addr_parse_ip(slice_text(host), port, &out[0]))
        return 1;
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
        if (i->ai_family == AF_INET)
            a.u.v4.sin_port = htons(port);
        else
            a.u.v6.sin6_port = htons(port);
        bool known = false;
        for (int k = 0; k < n; k++)
            known |= out[k].len == a.len && memcmp(&out[k].u, &a.u, a.len) == 0;
        if (!known)
            out[n++] = a;
    }
    freeaddrinfo(found);
    return n;
}
