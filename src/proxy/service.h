#pragma once
/* service: a named set of nodes, and how one of them is reached. Part of a generation; immutable once published. */
#include "net/tls_context.h"
#include "proxy/node.h"
#include "proxy/settings.h"

/* What must survive a reload: kept by service name. */
struct service_state {
    struct slice name;                  /* its own copy */
    _Atomic uint64_t cursor;            /* of the round robin, shared by all loops */
    unsigned refs;                      /* control thread only */
};

struct service {
    struct service_settings settings;
    struct service_state *state;
    struct node **nodes;                /* one per address */
    uint32_t *weights;
    uint32_t node_count;
    uint16_t *schedule;                 /* node indexes in the order of their turns */
    uint32_t schedule_len;
    struct tls_context *tls;            /* for PROTOCOL_HTTPS */
};

/* Starts to connect to a node, as the service says. RC_OK: *out is on its way; RC_REFUSED, RC_UNREACHABLE: the kernel
 * knows at once. */
enum rc service_connect(const struct service *s, const struct node *n, struct loop *loop, struct freelist *ups,
                        struct up **out);
/* Gives a connection to a node back: for others to use where it is fit for another request, else it is closed. */
void service_keep(const struct service *s, const struct node *n, uint32_t loop, struct up *u);
/* Whether a request may be sent again whose connection ended (rc) before a byte of the answer: the work must not be
 * done twice, so the method allows that, or the connection never took the request. */
bool service_may_repeat(const struct up *u, enum method m, enum rc rc);
