#pragma once
/* service: a named set of nodes, and how one of them is reached. Immutable once published; its settings live as long as
 * the generation that it belongs to. Where other nodes take the place of these: proxy/service_slot.h. */
#include "base/arena.h"
#include "net/tls_context.h"
#include "proxy/breaker.h"
#include "proxy/least.h"
#include "proxy/node.h"
#include "proxy/overload.h"
#include "proxy/retry.h"
#include "proxy/ring.h"
#include "proxy/settings.h"

/* What must survive a reload: kept by service name, shared by all loops. */
struct service_state {
    _Alignas(64) _Atomic uint64_t cursor;       /* of the turns */
    _Atomic uint32_t active;            /* requests in the hands of its nodes; counted where loads are bounded */
    _Alignas(64) _Atomic uint32_t version;      /* grows with each change of its nodes' states */
    _Atomic uint32_t ejected;           /* nodes */
    struct least least;
    struct breaker breaker;
    struct overload overload;
    _Alignas(64) struct retry_budget retries;
    struct slice name;                  /* its own copy */
    uint64_t order;                     /* of its newest generation; control thread only */
    bool is_published;                  /* one of them was; control thread only */
    unsigned refs;                      /* control thread only */
};

/* What one loop may choose from, as long as no node's state changes. */
struct choices {                        /* cache lines of its own: loops must not share one */
    _Alignas(64) uint32_t version;      /* of the service's state; 0: never looked */
    uint32_t count;
    uint16_t *nodes;                    /* indexes of those that are usable, in order */
    uint32_t turn_count;
    uint16_t *turns;                    /* indexes in the order of their turns, each as often as its weight says */
    uint64_t weight;                    /* of them all */
    bool *is_usable;                    /* by index */
    uint32_t ramp_count;
    uint16_t *ramps;                    /* indexes of those that have come back and do not get their whole share yet */
    uint64_t random;
    uint32_t users;                     /* requests of that loop that have entered the service */
};

struct service_slot;

struct service {
    struct service_settings settings;
    struct service_state *state;
    struct node **nodes;                /* one per address */
    uint32_t *weights;
    bool *backups;                      /* by index: used when no other node is usable */
    uint32_t node_count;
    uint64_t order;                     /* among the generations of this service */
    struct node *only;                  /* there is no choice */
    bool is_watched;                    /* what nodes answer is to be reported: service_report */
    struct node_state **states;         /* by index */
    uint16_t *schedule, *spares;        /* node indexes in the order of their turns: without backups, and backups */
    uint32_t schedule_len, spare_count;
    struct ring *ring;                  /* for hashes; NULL: none is needed */
    struct seats *seats;              /* NULL: requests do not stick */
    struct choices *choices;            /* one per loop, touched by that loop only */
    uint32_t loop_count;
    struct tls_context *tls;            /* for PROTOCOL_HTTPS */
    struct service_slot *slot;          /* NULL: it stands for none */
    struct arena arena;
    _Atomic uint32_t refs;
};

/* How a try ended, where the service is watched. why: in a few words, for a bad one. us: from the pick to the
 * first byte of the answer, or to the failure. */
void service_report(const struct service *s, struct node *n, bool is_good, const char *why, uint64_t us,
                    uint64_t now_ms);

/* Why there is no node to choose. */
enum rc service_lacks(const struct service *s);

/* The node has not answered in all that time, and is not waited for any more. */
void service_note_slow(const struct service *s, struct node *n, uint64_t us, uint64_t now_ms);

/* Whether a status is an answer of the node's. 500 is, as often as not, the request's fault; others say that it cannot
 * serve now: RFC 9110 section 15.6.3 to 15.6.5. */
static inline bool service_is_answer(int status) { return status < 502 || status > 504; }

/* Starts to connect to a node, as the service says. RC_OK: *out is on its way; RC_REFUSED, RC_UNREACHABLE: the kernel
 * knows at once. */
enum rc service_connect(const struct service *s, const struct node *n, struct loop *loop, struct freelist *ups,
                        struct up **out);
/* Gives a connection to a node back: for others to use where it is fit for another request, else it is closed. */
void service_keep(const struct service *s, const struct node *n, uint32_t loop, struct up *u);
/* A connection ended (rc) before a byte of the answer, and nothing of the request can have reached the node: whatever
 * it is, it may be sent again. */
bool service_took_nothing(const struct up *u, enum rc rc);
