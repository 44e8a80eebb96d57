#pragma once
/* service_slot: a service as a configuration names it. Where its nodes are may change while the configuration stays:
 * names get other addresses. Then a new struct service takes the place of the old one, in each loop between two
 * requests; a request keeps the struct service that it has entered.
 *
 * Counting, as with generations: each loop counts its own users without atomics (struct choices), and holds one shared
 * reference as long as it has any or the service is its current one; the control thread holds one of the newest. The
 * last reference hands the service to service_on_unused, because nodes belong to the control thread. */
#include "proxy/balancer.h"
#include "proxy/source.h"

struct service_slot {
    struct service_settings settings;
    struct tls_context *tls;            /* for PROTOCOL_HTTPS */
    struct node_wish *wishes;           /* nodes that the configuration names */
    uint32_t wish_count;
    struct source *source;              /* of others; NULL: there is none */
    struct service *newest;             /* control thread only */
    struct service **now;               /* one per loop, touched by that loop only */
    uint32_t loop_count;
};

/* -- control thread -- */

/* The services of a generation that is about to be published; once. */
void service_slot_open(struct service_slot *s, uint32_t loops);
/* Makes the service anew. NULL: it has the nodes that it had. Else it counts as the newest here, and there is a
 * reference of it for each loop, which service_swap takes; what was the newest stays until service_drop. */
struct service *service_slot_renew(struct service_slot *s);
/* Whether there may be other nodes than before names_settle and sources_settle. */
bool service_slot_has_news(const struct service_slot *s);
/* No loop uses it any more. Frees all but the slot itself. */
void service_slot_close(struct service_slot *s);

void service_drop(struct service *s);
/* Called with a service that nobody has any more, by whoever was the last: service_free, in the control thread. NULL:
 * it is freed at once. */
void service_on_unused(void (*unused)(struct service *s));
void service_free(struct service *s);

/* -- loops -- */

/* From now on the loop's requests use s, which is for this slot; takes over one reference. */
void service_swap(struct service_slot *slot, struct service *s, uint32_t loop);

/* The loop's current service, counted for one more user. */
static inline struct service *service_enter(struct service_slot *slot, uint32_t loop)
{
    struct service *s = slot->now[loop];
    s->choices[loop].users++;
    return s;
}

/* NULL, and the service that stands for none (proxy/adhoc.h), are nobody's. */
static inline void service_leave(struct service *s, uint32_t loop)
{
    if (s && s->slot && --s->choices[loop].users == 0 && s->slot->now[loop] != s)
        service_drop(s);
}
