#pragma once
/* name_meaning: what the answers about a name say, each thing once, in an order that does not depend on theirs: servers
 * turn their records round and round, and that is no change. */
#include "net/addr.h"
#include "net/dns_message.h"

struct meaning {
    struct arena arena;
    struct addr *addresses;             /* without a port */
    struct dns_record *services;
    uint32_t count;                     /* of either */
};

/* Addresses of both families. Where there are IPv4 addresses, IPv6 ones that this machine has no way to are left
 * out. */
void meaning_of_addresses(struct meaning *out, const struct dns_record *v4, uint32_t v4_count,
                          const struct dns_record *v6, uint32_t v6_count);
/* By priority first. */
void meaning_of_services(struct meaning *out, const struct dns_record *records, uint32_t count);
bool meaning_is_same(const struct meaning *a, const struct meaning *b);

/* A copy with all that it points to. */
struct dns_record *dns_records_copy(struct arena *a, const struct dns_record *from, uint32_t count);
