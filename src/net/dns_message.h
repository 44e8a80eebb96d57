#pragma once
/* dns_message: answers of name servers, RFC 1035 section 4.1, RFC 3596 (AAAA), RFC 2782 (SRV). Pure, no I/O. Strict: a
 * name must be compressed backwards, records must end where the message says, and only those count that belong to the
 * name that was asked for or to what its aliases (CNAME) lead to. */
#include "base/arena.h"
#include "base/rc.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_SRV = 33 };
enum { DNS_NAME_MAX = 253, DNS_RECORDS_MAX = 4096, DNS_ALIASES_MAX = 16 };

struct dns_record {
    uint8_t ip[16];                     /* of an address; IPv4 in the first four bytes */
    uint16_t priority, weight, port;    /* of an SRV */
    struct slice target;                /* of an SRV: a name in lower case without the dot at its end */
};

struct dns_answer {
    struct dns_record *records;         /* in the arena, in the order of the message */
    uint32_t count;                     /* 0: the name has no such records */
    uint32_t ttl_s;                     /* the least of them and of the aliases on the way; 0: none */
};

/* Reads the records of a type (A, AAAA or SRV).
 * RC_OK; RC_MALFORMED; RC_LIMIT: over DNS_RECORDS_MAX records, or DNS_ALIASES_MAX aliases */
enum rc dns_message_read(struct slice message, enum dns_type type, struct arena *a, struct dns_answer *out);

/* A name as it is asked for: in lower case, without a dot at its end. out has DNS_NAME_MAX bytes. False where it is
 * none: letters, digits, '-' and '_' in labels that are not empty, and the last label is no number, because
 * "127.1" and "0x7f000001" are addresses elsewhere. */
bool dns_name_clean(struct slice name, char *out, size_t *len);
