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
