#pragma once
/* addr: an IPv4, IPv6 or unix socket address; parsing, printing, networks. Names are the resolver's business. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/slice.h"

enum { ADDR_TEXT = 128 };       /* bytes enough for any printed address */

/* The IP address and port of a peer, small because every connection holds one. */
struct peer {
    uint8_t ip[16];             /* IPv4 in the first four bytes */
    uint16_t port;
    uint8_t family;             /* AF_INET, AF_INET6, or AF_UNIX (no ip) */
};

struct addr {                   /* what bind and connect take */
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } u;
};

/* "1.2.3.4:80", "[::1]:80", ":80" (every IPv4 address), "unix:/path". False when it is none of them. */
bool addr_parse(struct slice text, struct addr *out);
/* An address without port: "1.2.3.4", "::1" (or "[::1]"). */
bool addr_parse_ip(struct slice text, uint16_t port, struct addr *out);
bool addr_set_unix(struct slice path, struct addr *out);
/* Of an IPv4 or IPv6 address. */
void addr_set_port(struct addr *a, uint16_t port);
/* Puts n addresses into the order in which connects should try them: that of the first, and another family after each,
 * as long as there are some. Those of a family keep their order. RFC 8305 section 4. */
void addr_interleave(struct addr *at, int n);
/* Only this machine can be at the other end. */
bool addr_is_loopback(const struct addr *a);
/* The form that addr_parse takes; gives the length. */
size_t addr_print(const struct addr *a, char *out);

struct peer peer_of(const struct sockaddr *sa);
/* Parses an IP without port; false when it is none. */
bool peer_parse(struct slice text, struct peer *out);
/* The same IP; ports do not count. */
static inline bool peer_is(const struct peer *a, const struct peer *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}
/* The IP only, "unix" for a unix socket. Gives the length; at most 46 bytes. */
size_t peer_print_ip(const struct peer *p, char *out);

struct network { uint8_t ip[16]; uint8_t family, bits; };

/* "10.0.0.0/8", "::/0", or an address alone. */
bool network_parse(struct slice text, struct network *out);
/* IPv4-mapped IPv6 addresses match IPv4 networks. */
bool network_has(const struct network *n, const struct peer *p);
