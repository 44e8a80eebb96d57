#pragma once
/* proxy_protocol: who the client really is, as told by a load balancer in front: version 1 (a line) and 2 (binary) of
 * the PROXY protocol. Pure, no I/O. */
#include "base/rc.h"
#include "net/addr.h"

struct proxy_header {
    bool has_peer;              /* false for UNKNOWN and LOCAL: the connection's own address counts */
    struct peer peer;
    uint16_t to_port;           /* the port the client connected to */
};

enum { PROXY_HEADER_MAX = 4096 };       /* version 2 may carry extensions; more is RC_LIMIT */

/* RC_OK    a whole header is at the front of `in`; *used bytes of it
 * RC_AGAIN the beginning of one
 * else     not a PROXY header: close */
enum rc proxy_header_parse(struct slice in, struct proxy_header *out, size_t *used);
