#pragma once
/* dns: questions to name servers, on a loop, by c-ares: UDP, and TCP where an answer does not fit; the search list
 * of /etc/resolv.conf, and its servers unless others are given. One per process, control thread. */
#include "net/dns_message.h"
#include "net/loop.h"

struct dns_settings {
    const char *servers;                /* "1.2.3.4:53,[::1]:53"; NULL: those of /etc/resolv.conf */
    uint32_t timeout_ms;                /* for the first try; longer for further ones */
};

/* status is an ARES_...: 0 where the answer is good, which lies in memory of the callee's until it returns; count is 0
 * where the name exists without such records. why: in words, where status is not 0. */
struct dns_outcome { int status; const char *why; struct dns_answer answer; };
typedef void dns_fn(void *who, const struct dns_outcome *outcome);

struct dns;

/* NULL, with the reason, where c-ares cannot start. */
struct dns *dns_new(struct loop *loop, const struct dns_settings *s, char *why, size_t size);
/* Open questions get an answer that is bad. */
void dns_free(struct dns *d);

/* fn is called once, maybe before this returns. The name must be clean (dns_name_clean); the search list counts. */
void dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn *fn, void *who);
/* Questions without an answer. */
uint32_t dns_open_count(const struct dns *d);
/* Waits for news, for so long at most, and takes it. For when the loop does not run. */
void dns_wait(struct dns *d, uint32_t ms);
/* Whether the name does not exist, or has no such records: an answer, and no failure. */
bool dns_is_absent(int status);
