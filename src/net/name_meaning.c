#include "net/name_meaning.h"

#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 512 };

static struct addr address_of(const struct dns_record *r, bool is_v6)
{
    struct addr a = { 0 };
    if (!is_v6) {
        a.len = sizeof a.u.v4;
        a.u.v4.sin_family = AF_INET;
        memcpy(&a.u.v4.sin_addr, r->ip, 4);
    } else {
        a.len = sizeof a.u.v6;
        a.u.v6.sin6_family = AF_INET6;
        memcpy(&a.u.v6.sin6_addr, r->ip, 16);
    }
    return a;
}

/* Whether the kernel knows a way there: RFC 6724 section 5, rule 1. */
static bool is_reachable(const struct addr *a)
{
    struct addr to = *a;
    int fd = socket(to.u.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    addr_set_port(&to, 9);
    bool is_good = fd >= 0 && connect(fd, &to.u.any, to.len) == 0;
    if (fd >= 0)
        close(fd);
    return is_good;
}

static int compare_addresses(const void *a, const void *b)
{
    const struct addr *p = a, *q = b;
    return p->len != q->len ? (p->len > q->len) - (p->len < q->len) : memcmp(&p->u, &q->u, p->len);
}

void meaning_of_addresses(struct meaning *out, const struct dns_record *v4, uint32_t v4_count,
                          const struct dns_record *v6, uint32_t v6_count)
{
    uint32_t all = 0, n = 0;
    *out = (struct meaning){ 0 };
    arena_init(&out->arena, BLOCK);
    struct addr *at = out->addresses = arena_alloc(&out->arena, (v4_count + v6_count + 1) * sizeof *at);
    for (uint32_t i = 0; i < v4_count; i++)
        at[all++] = address_of(&v4[i], false);
    for (uint32_t i = 0; i < v6_count; i++) {
        at[all] = address_of(&v6[i], true);
        all += v4_count == 0 || is_reachable(&at[all]);
    }
    qsort(at, all, sizeof *at, compare_addresses);
    for (uint32_t i = 0; i < all; i++)
        if (n == 0 || compare_addresses(&at[n - 1], &at[i]) != 0)
            at[n++] = at[i];
    out->count = n;
}

static int compare_slices(struct slice a, struct slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_services(const void *a, const void *b)
{
    const struct dns_record *p = a, *q = b;
    int order = p->priority - q->priority;
    order = order ? order : compare_slices(p->target, q->target);
    order = order ? order : p->port - q->port;
    return order ? order : p->weight - q->weight;
}

struct dns_record *dns_records_copy(struct arena *a, const struct dns_record *from, uint32_t count)
{
    struct dns_record *copy = arena_alloc(a, (count + 1) * sizeof *copy);
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = from[i];
        if (from[i].target.at)
            copy[i].target = arena_copy(a, from[i].target);
    }
    return copy;
}

void meaning_of_services(struct meaning *out, const struct dns_record *records, uint32_t count)
{
    *out = (struct meaning){ .count = count };
    arena_init(&out->arena, BLOCK);
    out->services = dns_records_copy(&out->arena, records, count);
    qsort(out->services, count, sizeof *out->services, compare_services);
}

bool meaning_is_same(const struct meaning *a, const struct meaning *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (b->addresses ? compare_addresses(&a->addresses[i], &b->addresses[i]) != 0
                         : compare_services(&a->services[i], &b->services[i]) != 0)
            return false;
    return true;
}
