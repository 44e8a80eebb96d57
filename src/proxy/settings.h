#pragma once
/* settings: what a configuration decides, as plain structs.
 * Lua fills them through FFI in the control thread (lua/tidegate/config/build.lua); once the generation is published
 * nobody writes them again. All strings live in the generation's arena (tide_generation_text). Durations are
 * milliseconds and sizes bytes; 0 means "no limit" only where said so. */
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "http/limits.h"

/* ffi { */
/* How names of nodes are looked up. */
struct resolver_settings {
    struct slice servers;         /* "1.2.3.4:53,[::1]:53"; empty: the system's */
    uint32_t min_ttl_ms, max_ttl_ms;
    uint32_t timeout_ms;          /* of the first try */
};

enum timeout_header { TIMEOUT_HEADER_TRUSTED, TIMEOUT_HEADER_ALL, TIMEOUT_HEADER_NOBODY };

struct gateway_settings {
    uint32_t threads;             /* data-plane loops; 0: as many as cores */
    uint32_t grace_ms;            /* how long a stop waits for requests in flight */
    struct slice user;            /* empty: stay who we are */
    struct slice pid_file;        /* absolute */
    struct slice id_header;       /* request id header, lower case */
    struct client_timeouts timeouts;
    struct limits limits;
    struct security security;
    int32_t log_level;            /* 0 debug, 1 info, 2 warn, 3 error */
    struct slice error_log;       /* "stderr" or an absolute file name */
    bool recent_requests;         /* heads of requests are kept for a while: proxy/recent.h */
    int32_t timeout_header;       /* enum timeout_header: whose X-Request-Timeout counts */
    bool has_metrics;             /* requests are counted by route, node and status */
    struct slice metrics_path;    /* where an internal listener shows them */
    struct resolver_settings resolver;
    uint32_t hooks;               /* bit per enum hook that the global chain has */
    uint32_t lua_budget_ms;       /* CPU time of one hook */
    uint32_t lua_hard_ms;         /* Lua that does not come back after it costs the worker */
    uint64_t lua_memory;          /* bytes of Lua per loop */
};

enum client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };

struct listener_settings {
    struct slice address;         /* canonical: "1.2.3.4:80", "[::]:80", "unix:/abs/path"; its identity over reloads */
    struct slice name;            /* empty: none */
    bool proxy_protocol;
    bool optional;                /* where it cannot be bound, that is told, and the others are */
    bool is_internal;             /* answers about the gateway itself: no route, no plugin */
    bool tls;
    int32_t min_version;          /* 0x0303: TLS 1.2, 0x0304: TLS 1.3 */
    int32_t client_auth;          /* enum client_auth */
    struct slice ciphers;         /* "modern" or an OpenSSL list */
    struct slice client_ca;       /* PEM file; empty: none */
};

enum protocol { PROTOCOL_HTTP, PROTOCOL_HTTPS };
enum host_policy { HOST_PRESERVE, HOST_NODE, HOST_FIXED };
enum balance {
    BALANCE_ROUND_ROBIN, BALANCE_WEIGHTED_ROUND_ROBIN, BALANCE_RANDOM, BALANCE_TWO_CHOICES, BALANCE_LEAST_CONNECTIONS,
    BALANCE_LEAST_LATENCY, BALANCE_IP_HASH, BALANCE_CONSISTENT_HASH,
};
enum hash_by { HASH_BY_CLIENT_IP, HASH_BY_PATH, HASH_BY_HEADER, HASH_BY_COOKIE, HASH_BY_QUERY };

/* What is made of the answers that clients get. */
struct passive_settings {
    bool is_on;
    uint32_t failures;            /* in a row; 0: not counted */
    uint32_t error_percent;       /* of the answers in a window; 0: not counted */
    uint32_t min_requests;        /* in a window, before its share of errors means something */
    uint32_t window_ms;
    uint32_t eject_ms;            /* the first time; longer and longer after that */
    uint32_t max_ejected_percent; /* of the nodes that are no backups */
};

/* When a service, or a route, is left alone. */
struct breaker_settings {
    bool is_on;
    uint32_t error_percent;       /* of the requests in a window; 0: not counted */
    uint32_t slow_ms;             /* to the head of the answer; 0: not counted */
    uint32_t slow_percent;        /* of the requests in a window that take so long */
    uint32_t window_ms;
    uint32_t min_requests;        /* in a window, before shares mean something */
    uint32_t open_ms;
    uint32_t probes;              /* let through at a time after that */
};

/* What of a try's end asks for another try; and which keys of its retries a route has itself. */
enum retry_on { RETRY_ON_CONNECT = 1, RETRY_ON_RESET = 2, RETRY_ON_TIMEOUT = 4, RETRY_ON_STATUS = 8 };
enum retry_key {
    RETRY_KEY_ATTEMPTS = 1, RETRY_KEY_ON = 2, RETRY_KEY_PER_TRY = 4, RETRY_KEY_BACKOFF = 8, RETRY_KEY_METHODS = 16,
    RETRY_KEY_HEDGE = 32,
};

struct retry_settings {
    uint32_t given;               /* bit per enum retry_key; of a route */
    uint32_t attempts;            /* further tries after the first: 0 = never retry */
    uint32_t on;                  /* bit per enum retry_on */
    uint64_t statuses[10];        /* bit per status, for RETRY_ON_STATUS */
    uint32_t methods;             /* bit per enum method that a node may get twice */
    uint32_t per_try_ms;          /* from the pick of a node to the head of its answer; 0: no limit */
    uint32_t backoff_ms, backoff_max_ms;  /* longest first wait before nodes are asked again, and longest of all */
    uint32_t hedge_ms;            /* without an answer, another node is asked as well; 0: never */
    uint32_t budget_percent;      /* of the requests, that may be sent again; of a service */
    uint32_t budget_min;          /* a second, whatever that is */
};

/* How many requests of a service there may be at a time. */
struct overload_settings {
    bool is_on;
    bool is_adaptive;             /* found by how long answers take */
    uint32_t max_requests;        /* else */
    uint32_t least, most;         /* bounds of an adaptive limit */
    uint32_t queue;               /* how many may wait */
    uint32_t queue_ms;            /* ... and for how long */
};

enum check_type { CHECK_HTTP, CHECK_TCP };
enum { CHECK_STATUSES = 600 };

/* What the gateway asks nodes itself. */
struct active_settings {
    bool is_on;
    int32_t type;                 /* enum check_type */
    struct slice method, target;
    struct slice host;            /* empty: the node's */
    struct slice fields;          /* names and values, each with a NUL behind it */
    struct slice body;            /* what must be in the answer's body; empty: anything */
    uint64_t expect[10];          /* bit per status below CHECK_STATUSES */
    uint32_t interval_ms, timeout_ms;
    uint32_t healthy, unhealthy;  /* checks in a row until the state changes */
};

struct service_settings {
    struct slice name;
    int32_t protocol;             /* enum protocol */
    int32_t host_policy;          /* enum host_policy */
    struct slice host;            /* for HOST_FIXED */
    int32_t balance;              /* enum balance */
    int32_t hash_by;              /* enum hash_by, for BALANCE_CONSISTENT_HASH */
    struct slice hash_name;       /* of the header (lower case), cookie or query parameter */
    uint32_t load_percent;        /* of the mean load that a node may have there; 0: no bound */
    struct passive_settings passive;
    struct active_settings active;
    struct breaker_settings breaker;
    struct overload_settings overload;
    bool fails_when_down;         /* 503 when no node is usable; else all are used then */
    struct slice sticky_cookie;   /* empty: requests do not stick */
    struct slice sticky_secret;   /* empty: one of the process */
    uint32_t sticky_max_age_s;    /* 0: as long as the browser runs */
    uint32_t slow_start_ms;       /* until a node that has come back gets its whole share; 0: at once */
    uint32_t connect_ms;          /* TCP (and TLS) established */
    uint32_t connect_delay_ms;    /* not established by then, another node is tried as well; 0: never */
    uint32_t send_ms;             /* without progress while the request is written */
    uint32_t first_byte_ms;       /* request sent to the last byte of the response's head */
    uint32_t idle_ms;             /* between two reads of the response */
    struct retry_settings retry;
    bool timeout_header;          /* nodes are told how long they may take */
    uint32_t pool_idle_per_node;  /* per loop */
    uint32_t pool_max_per_node;   /* connections of all loops; 0: no limit */
    uint32_t pool_queue;          /* requests that may wait for one */
    uint32_t pool_queue_ms;       /* ... and for how long */
    uint32_t pool_idle_ms;
    uint32_t pool_lifetime_ms;    /* 0: no limit */
    uint32_t pool_max_requests;   /* 0: no limit */
    bool tls_verify;
    struct slice tls_ca;          /* PEM file; empty: the system's */
    struct slice tls_server_name; /* empty: the node's host */
    struct slice tls_cert, tls_key;   /* client certificate; empty: none */
};

struct node_settings {
    struct slice host;            /* name, IPv4, IPv6 without brackets; or the path of a unix socket */
    uint16_t port;
    bool is_unix;
    bool enabled;
    bool backup;                  /* only when no other node is usable */
    uint32_t weight;              /* >= 1 */
};

enum route_action { ACTION_SERVICE, ACTION_RESPOND, ACTION_REDIRECT, ACTION_ECHO };

struct route_settings {
    struct slice name;
    struct slice source;          /* "file:line", for messages */
    int32_t priority;
    int32_t action;               /* enum route_action */
    int32_t service;              /* index from tide_generation_add_service, for ACTION_SERVICE; -1: by its split */
    int32_t status;               /* for ACTION_RESPOND and ACTION_REDIRECT */
    struct slice body;            /* for ACTION_RESPOND */
    struct slice redirect_to;     /* may hold ${scheme} ${host} ${path} ${query} (with its '?') ${request_uri} */
    struct slice strip_prefix;    /* cut off the path on segment borders */
    struct slice add_prefix;
    uint32_t timeout_ms;          /* the whole exchange; 0: none */
    struct breaker_settings breaker;
    struct retry_settings retry;  /* instead of the service's, as far as given */
    uint64_t listeners;           /* bit per listener, in the order they were added; 0: all */
    uint32_t hooks;               /* bit per enum hook that the route's own chain has */
    bool preflight;               /* a plugin of that chain answers CORS preflights */
};

/* What becomes of open WebSockets when a reload has changed their route. */
enum on_change { ON_CHANGE_KEEP, ON_CHANGE_DRAIN, ON_CHANGE_CLOSE };

/* How the frames of a route's WebSockets are looked at, and their two ends kept alive. */
struct websocket_settings {
    uint32_t ping_ms;             /* an end that has said nothing for so long is pinged; 0: never */
    uint32_t pong_ms;             /* ... and given up after so long; 0: never */
    uint32_t write_ms;            /* an end that takes nothing for so long is given up */
    uint32_t idle_ms;             /* no message either way for so long: closed; 0: never */
    uint64_t max_message;         /* bytes */
    int32_t on_change;            /* enum on_change */
    uint64_t digest;              /* of all that the route means; 0: not needed */
};

/* How a client is kept at the service that it was given, where several share a route. */
enum sticky { STICKY_NONE, STICKY_COOKIE, STICKY_HEADER };

struct split_settings {
    int32_t sticky;               /* enum sticky */
    struct slice key;             /* name of the cookie, or of the header in lower case */
    uint32_t max_age_s;           /* of the cookie; 0: as long as the client's session */
};

/* One question of a route's `when`. */
enum subject {
    SUBJECT_HEADER, SUBJECT_QUERY, SUBJECT_COOKIE, SUBJECT_CLIENT_IP, SUBJECT_PATH, SUBJECT_HOST, SUBJECT_METHOD,
    SUBJECT_SCHEME, SUBJECT_TLS, SUBJECT_SNI,
};
enum test {
    TEST_EXISTS, TEST_IN, TEST_MATCHES, TEST_PREFIX, TEST_SUFFIX, TEST_CONTAINS, TEST_CIDR, TEST_GT, TEST_LT,
};
enum { QUESTION_HOLDS = -1, QUESTION_FAILS = -2 };    /* in place of the next question: what it all comes to */

struct question_settings {
    int32_t subject;              /* enum subject */
    int32_t test;                 /* enum test */
    struct slice name;            /* of the header (in lower case), the argument or the cookie */
    bool fold;                    /* case does not count: the words are in lower case */
    bool wanted;                  /* for TEST_EXISTS: whether it should be there */
    double bound;                 /* for TEST_GT and TEST_LT */
    uint32_t words;               /* how many tide_generation_add_word will give it: words, networks or one pattern */
    int32_t yes, no;              /* the question that comes next: a later one */
    struct slice source;          /* "file:line", for messages */
};

enum log_format { LOG_JSON, LOG_COMMON, LOG_COMBINED, LOG_TEMPLATE };

struct access_log_settings {
    struct slice file;            /* absolute, or "stdout", "stderr" */
    int32_t format;               /* enum log_format */
    struct slice template_text;   /* for LOG_TEMPLATE, with ${...} fields */
};
/* } ffi */
