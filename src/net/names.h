#pragma once
/* names: what names mean now. Each name is looked up in /etc/hosts and by name servers, again when its time to live is
 * over, as long as somebody wants it. The last good answer stays until there is another good one: a resolver that
 * fails, or says that there is no such name, changes nothing. One registry per process, control thread only; never
 * blocks but in names_wait.
 *
 * A name whose registry is not open (names_open) is never looked up: that is a configuration which is only checked. */
#include "net/addr.h"
#include "net/dns_message.h"
#include "net/loop.h"

enum { NAME_ADDRESSES_MAX = DNS_RECORDS_MAX };

enum name_kind { NAME_HOST, NAME_SERVICE };     /* A and AAAA; SRV */

struct name;

/* -- wanting -- */

/* Counted for one more who wants it; NULL where the text is no name that servers know: see
 * dns_name_clean; a label has at most 63 bytes. */
struct name *name_want(struct slice text, enum name_kind kind);
void name_drop(struct name *n);

/* The addresses of a NAME_HOST: each once, without a port, in an order that does not depend on the answer's. They stay
 * until the loop comes round. */
const struct addr *name_addresses(const struct name *n, uint32_t *count);
/* The records of a NAME_SERVICE, ordered likewise. */
const struct dns_record *name_services(const struct name *n, uint32_t *count);

/* -- looking up -- */

struct name_settings {
    const char *servers;                /* "1.2.3.4:53,[::1]:53"; empty: those of /etc/resolv.conf */
    uint32_t min_ttl_ms, max_ttl_ms;    /* bounds of how long an answer holds */
    uint32_t timeout_ms;                /* of the first try */
};

/* changed is called when a name means something else than before: from the loop, or from within a function of this
 * file. Which name it was, name_is_news tells until names_settle. */
void names_open(struct loop *loop, void (*changed)(void));
void names_close(void);
/* Answers that are there stay. Names that were never asked for are from now on. */
void names_use(const struct name_settings *s);
/* The same with the settings as they are. */
void names_start(void);
/* Waits until each name has had its first answer, good or bad, but not longer than this. */
void names_wait(uint32_t ms);
bool names_are_heard(void);
bool name_is_news(const struct name *n);
void names_settle(void);

/* -- for people -- */

struct name_report {
    const char *text;
    enum name_kind kind;
    uint32_t count;                     /* addresses or services */
    uint64_t good_ms;                   /* wall time of the last good answer; 0: there was none */
    uint64_t next_ms;                   /* until it is asked again; 0: now */
    uint32_t failures;                  /* in a row, since then */
    const char *why;                    /* of the last of them; "" where there is none */
};

/* From 0 on, in the order in which they came; false behind the last. */
bool name_report(uint32_t index, struct name_report *out);
