#include "net/addr.h"

#include <arpa/inet.h>

static bool text_of(struct slice s, char *out, size_t size)
{
    if (s.len >= size || memchr(s.at, 0, s.len))
        return false;
    memcpy(out, s.at, s.len);
    out[s.len] = 0;
    return true;
}

bool addr_parse_ip(struct slice text, uint16_t port, struct addr *out)
{
    char ip[64];
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = slice_make(text.at + 1, text.len - 2);
    if (text.len == 0 || !text_of(text, ip, sizeof ip))
        return false;
    *out = (struct addr){ 0 };
    if (inet_pton(AF_INET, ip, &out->u.v4.sin_addr) == 1) {
        out->u.v4.sin_family = AF_INET;
        out->u.v4.sin_port = htons(port);
        out->len = sizeof out->u.v4;
        return true;
    }
    if (inet_pton(AF_INET6, ip, &out->u.v6.sin6_addr) == 1) {
        out->u.v6.sin6_family = AF_INET6;
        out->u.v6.sin6_port = htons(port);
        out->len = sizeof out->u.v6;
        return true;
    }
    return false;
}

bool addr_set_unix(struct slice path, struct addr *out)
{
    *out = (struct addr){ 0 };
    out->u.un.sun_family = AF_UNIX;
    out->len = sizeof out->u.un;
    return path.len > 0 && text_of(path, out->u.un.sun_path, sizeof out->u.un.sun_path);
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->u.any.sa_family == AF_INET)
        a->u.v4.sin_port = htons(port);
    else
        a->u.v6.sin6_port = htons(port);
}

bool addr_parse(struct slice text, struct addr *out)
{
    if (slice_has_prefix(text, SLICE_OF("unix:")))
        return addr_set_unix(slice_from(text, 5), out);
    size_t colon = text.len;
    while (colon && text.at[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || !slice_to_u64(slice_from(text, colon), 65535, &port))
        return false;
    struct slice host = slice_make(text.at, colon - 1);
    if (host.len == 0)
        host = SLICE_OF("0.0.0.0");
    if (memchr(host.at, ':', host.len) && host.at[0] != '[')
        return false;           /* "::1:80" is ambiguous: brackets are needed */
    return addr_parse_ip(host, (uint16_t)port, out);
}

void addr_interleave(struct addr *at, int n)
{
    for (int i = 1; i < n; i++) {
        int other = i;
        while (other < n && at[other].u.any.sa_family == at[i - 1].u.any.sa_family)
            other++;
        if (other == n)
            return;
        struct addr next = at[other];
        memmove(&at[i + 1], &at[i], (size_t)(other - i) * sizeof next);
        at[i] = next;
    }
}

bool addr_is_loopback(const struct addr *a)
{
    if (a->u.any.sa_family == AF_INET)
        return ntohl(a->u.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->u.v6.sin6_addr);
}

size_t addr_print(const struct addr *a, char *out)
{
    if (a->u.any.sa_family == AF_UNIX) {
        size_t len = strnlen(a->u.un.sun_path, sizeof a->u.un.sun_path);
        memcpy(out, "unix:", 5);
        memcpy(out + 5, a->u.un.sun_path, len);
        return len + 5;
    }
    struct peer p = peer_of(&a->u.any);
    size_t len = 0;
    if (p.family == AF_INET6)
        out[len++] = '[';
    len += peer_print_ip(&p, out + len);
    if (p.family == AF_INET6)
        out[len++] = ']';
    out[len++] = ':';
    return len + format_u64(out + len, p.port);
}

struct peer peer_of(const struct sockaddr *sa)
{
    struct peer p = { .family = (uint8_t)sa->sa_family };
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
        memcpy(p.ip, &v4->sin_addr, 4);
        p.port = ntohs(v4->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
        memcpy(p.ip, &v6->sin6_addr, 16);
        p.port = ntohs(v6->sin6_port);
    } else {
        p.family = AF_UNIX;
    }
    return p;
}

bool peer_parse(struct slice text, struct peer *out)
{
    struct addr a;
    if (!addr_parse_ip(text, 0, &a))
        return false;
    *out = peer_of(&a.u.any);
    return true;
}

/* Every request prints its peer: inet_ntop goes through printf, this does not. */
static size_t print_v4(const uint8_t *ip, char *out)
{
    size_t len = 0;
    for (int i = 0; i < 4; i++) {
        unsigned n = ip[i];
        if (n >= 100)
            out[len++] = (char)('0' + n / 100);
        if (n >= 10)
            out[len++] = (char)('0' + n / 10 % 10);
        out[len++] = (char)('0' + n % 10);
        out[len++] = '.';
    }
    return len - 1;
}

size_t peer_print_ip(const struct peer *p, char *out)
{
    if (p->family == AF_INET)
        return print_v4(p->ip, out);
    if (p->family == AF_INET6) {
        char text[INET6_ADDRSTRLEN];
        size_t len = inet_ntop(AF_INET6, p->ip, text, sizeof text) ? strlen(text) : 0;
        memcpy(out, text, len);
        return len;
    }
    memcpy(out, "unix", 4);
    return 4;
}

bool network_parse(struct slice text, struct network *out)
{
    const char *slash = memchr(text.at, '/', text.len);
    struct slice ip = slash ? slice_make(text.at, (size_t)(slash - text.at)) : text;
    struct peer p;
    if (!peer_parse(ip, &p))
        return false;
    uint64_t max = p.family == AF_INET ? 32 : 128, bits = max;
    if (slash && !slice_to_u64(slice_from(text, ip.len + 1), max, &bits))
        return false;
    memcpy(out->ip, p.ip, 16);
    out->family = p.family;
    out->bits = (uint8_t)bits;
    return true;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint32_t x, y;
    if (bits - 1 < 32) {                        /* IPv4, and most of what is said of IPv6 */
        memcpy(&x, a, 4);
        memcpy(&y, b, 4);
        return ntohl(x ^ y) >> (32 - bits) == 0;
    }
    for (unsigned i = 0; i < whole; i++)        /* most differ in the first, or have one or two */
        if (a[i] != b[i])
            return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool network_has(const struct network *n, const struct peer *p)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };     /* ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */
    if (n->family == p->family)
        return bits_equal(n->ip, p->ip, n->bits);
    if (n->family == AF_INET && p->family == AF_INET6 && memcmp(p->ip, mapped, 12) == 0)
        return bits_equal(n->ip, p->ip + 12, n->bits);
    return false;
}
