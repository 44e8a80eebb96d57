#pragma once
/* limits: what clients may do, and how long they may take. Filled by the configuration, read-only afterwards. */
#include <stdbool.h>
#include <stdint.h>

/* ffi { */
struct client_timeouts {          /* towards clients */
    uint32_t idle_ms;             /* between requests on a connection */
    uint32_t head_ms;             /* from the first byte of a head to its last */
    uint32_t body_ms;             /* between two reads of a request body */
    uint32_t write_ms;            /* without any progress while a response is written */
};

struct limits {
    uint32_t head_bytes;          /* request line and headers together: 431 */
    uint32_t headers;             /* number of header lines: 431 */
    uint32_t uri_bytes;           /* request target: 414 */
    uint32_t connections;         /* open client connections of the worker: 503 */
    uint32_t requests_per_connection;
    uint64_t body_bytes;          /* request body: 413; 0: no limit */
};

struct security {
    bool deny_hidden_files;       /* a path segment that starts with a dot: 404 (/.well-known/ excepted) */
    bool require_content_length;  /* a chunked request body: 411 */
    bool merge_slashes;           /* "//" in a path counts, and is forwarded, as "/" */
};
/* } ffi */
