#pragma once
/* api: every C function that Lua may call. lua/tidegate/ffi.lua gives the lines between the marks to ffi.cdef.
 * They take numbers, pointers and lengths, never a lua_State; they never wait and keep no pointer into Lua memory. */
#include "proxy/settings.h"

struct generation;

/* ffi { */
struct tide_error { char text[512]; };      /* NUL-terminated words for the user */

/* -- building a generation; control thread or command line only -- */

/* A new, empty, unpublished generation. Drop it, or hand it to the control thread by returning its address. */
struct generation *tide_generation_new(void);
void tide_generation_drop(struct generation *g);

/* Copies len bytes into the generation; the result lives as long as it does and ends with a NUL. */
const char *tide_generation_text(struct generation *g, const char *at, size_t len);

struct gateway_settings *tide_generation_gateway(struct generation *g);

/* Adds an IPv4 or IPv6 network ("10.0.0.0/8", "::1"). 0, or -1 when it is not one. */
int tide_generation_trust(struct generation *g, const char *cidr, size_t len);

/* Each gives a zeroed struct to fill; it stays valid until tide_generation_finish. The first call has index 0. */
struct listener_settings *tide_generation_add_listener(struct generation *g);
struct service_settings *tide_generation_add_service(struct generation *g);
struct route_settings *tide_generation_add_route(struct generation *g);
struct access_log_settings *tide_generation_add_access_log(struct generation *g);

/* A node of the service added last. */
struct node_settings *tide_generation_add_node(struct generation *g);
/* Where further nodes of that service come from: a kind of proxy/source.h, and what it is told. */
void tide_generation_discover(struct generation *g, const char *kind, const char *words);

/* A certificate of the listener added last; PEM files, ocsp may be NULL (DER file). Loaded and checked at once.
 * 0, or -1 with the reason. */
int tide_generation_add_certificate(struct generation *g, const char *cert, const char *key, const char *ocsp,
                                    struct tide_error *e);

/* To the route added last. Hosts and paths as proxy/route_pattern.h has them, hosts in lower case.
 * A route without hosts matches any host; without paths, any path. Methods in upper case; none: all but TRACE.
 * 0, or -1 with the reason. */
int tide_generation_add_host(struct generation *g, const char *host, size_t len, struct tide_error *e);
int tide_generation_add_path(struct generation *g, const char *path, size_t len, struct tide_error *e);
/* The bit of a method in a mask of them; 0 where it has none. */
uint32_t tide_method_bit(const char *method, size_t len);
int tide_generation_add_method(struct generation *g, const char *method, size_t len, struct tide_error *e);
int tide_generation_add_header(struct generation *g, const char *name, size_t name_len,
                               const char *value, size_t value_len, struct tide_error *e);

/* Makes the route added last one of several services, so many tide_generation_add_share will name. The struct is
 * copied. */
void tide_generation_split(struct generation *g, const struct split_settings *settings, uint32_t count);
/* service: index from tide_generation_add_service. */
void tide_generation_add_share(struct generation *g, int service, uint32_t weight);

/* Makes the route added last conditional: so many questions follow, in the order in which they lead to one another.
 * Each gives a zeroed struct to fill. */
void tide_generation_condition(struct generation *g, uint32_t questions);
struct question_settings *tide_generation_add_question(struct generation *g);
/* A word, a pattern or a network (in canonical form) for the question added last, whose settings are complete. 0, or -1
 * with the reason. */
int tide_generation_add_word(struct generation *g, const char *at, size_t len, struct tide_error *e);

/* Lets the route added last find its service by the name that stands in a segment of the path, from 1. fallback: where
 * the segment is empty or missing, -1: none. After all tide_generation_add_service. */
void tide_generation_by_path(struct generation *g, uint32_t segment, int fallback);
/* Another path for what the route added last sends on: see proxy/rewrite.h. 0, or with the reason -1 where it is about
 * the pattern and -2 where it is about `to`. */
int tide_generation_rewrite(struct generation *g, const char *match, size_t match_len, const char *to, size_t to_len,
                            struct tide_error *e);

/* Lets the route added last look into its WebSockets; gives the zeroed settings to fill. */
struct websocket_settings *tide_generation_websocket(struct generation *g);
/* ... and open them to pages of an origin alone (proxy/websocket_rules.h), or of several. */
void tide_generation_add_origin(struct generation *g, const char *at, size_t len);
/* ... and adds a field to their handshakes towards the upstream. 0, or -1 with the reason. */
int tide_generation_add_handshake_header(struct generation *g, const char *name, size_t name_len, const char *value,
                                         size_t value_len, struct tide_error *e);

/* The plugins: what tidegate.plugin.runtime loads in each loop. */
void tide_generation_set_plugins(struct generation *g, const char *at, size_t len);

/* Compiles the router, the TLS contexts of listeners and services, the balancers; resolves node names.
 * 0 when all is through; or -1 with the reason, where *what and *index say whose fault it is (enum built_part).
 * Asked again after -1 it goes on behind what was wrong, so that all of it can be told; such a generation can only be
 * dropped. */
enum built_part { PART_LISTENER, PART_SERVICE, PART_ROUTE, PART_ACCESS_LOG, PART_GATEWAY };
int tide_generation_finish(struct generation *g, struct tide_error *e, int *what, int *index);

/* Where a request would go, in a finished generation that is not published. */
struct tide_route_query {
    struct slice method, authority;             /* as a client sends them */
    struct slice path;                          /* without a query */
    struct slice query;                         /* without "?" */
    struct slice fields;                        /* of the head: names and values, each with a NUL behind it */
    struct slice client_ip;                     /* behind trusted proxies */
    const char *sni;                            /* NULL: it came without TLS */
    uint32_t listener;                          /* its place in the file, from 0 */
};
struct tide_route_answer {
    int route;                                  /* index; -1: none */
    int status;                                 /* ... and what the client gets instead */
    struct slice path;                          /* in normal form; lives as long as the generation, as does source */
    struct slice source;                        /* of the route: "file:line" */
    bool preflight;                             /* ... which answers CORS preflights */
};
/* 0, without a route with the word for why; or -1 with what is wrong with such a request. */
int tide_route_find(struct generation *g, const struct tide_route_query *q, struct tide_route_answer *out,
                    struct tide_error *e);

/* One (host, path) pair of a route, and what speaks against it, in the order of enum router_verdict. */
enum tide_verdict {
    TIDE_OTHER_HOST, TIDE_OTHER_PATH, TIDE_OTHER_METHOD, TIDE_OTHER_LISTENER, TIDE_OTHER_CONDITION, TIDE_FITS,
};
struct tide_route_candidate {
    int route;                                  /* index */
    int verdict;                                /* enum tide_verdict */
    struct slice host, path;                    /* as the route has them; empty: any */
    struct slice objection;                     /* of TIDE_OTHER_CONDITION: "file:line" of what decided */
};
uint32_t tide_route_candidates(struct generation *g);
/* Fills in all candidates, in the order in which they win. 0, or -1 with what is wrong with such a request. */
int tide_route_judge(struct generation *g, const struct tide_route_query *q, struct tide_route_candidate *out,
                     struct tide_error *e);

/* Whether this very code has blocked a loop before, so that it must not run again. Control thread. */
bool tide_plugin_quarantined(const char *name, const char *source, size_t len);

/* Between steps of long work with a configuration that make no memory: the thread may rest (base/pace.h). */
void tide_keep_pace(void);

/* -- checks that the schema needs; all without side effects -- */

/* Puts the canonical form of a listen address ("127.0.0.1:80", "[::]:80", ":8080" is "0.0.0.0:8080",
 * "unix:/path") into e->text. 0, or -1 with the reason in e->text. */
int tide_address_check(const char *at, size_t len, struct tide_error *e);
int tide_cidr_check(const char *at, size_t len);
/* A regular expression as routes have it (base/regex.h). 0, or -1 with the reason and its place. */
int tide_regex_check(const char *pattern, size_t len, int nocase, struct tide_error *e);

/* -- a request in hand; data-plane loops only --
 * A request is a number that goes stale when the request ends: then every call gives TIDE_OVER. Texts are given as
 * views that hold until the hook returns or waits; what is given to C is copied. */

enum tide_result {
    TIDE_OK, TIDE_ABSENT,
    TIDE_OVER,          /* the request is over */
    TIDE_LATE,          /* what should be changed has been sent already */
    TIDE_BAD_NAME, TIDE_BAD_VALUE,      /* not to be put into a head: RFC 9110 section 5.1 and 5.5 */
    TIDE_FIXED,         /* a field that says how the message is framed or connected: the gateway's own */
    TIDE_TWICE,         /* there is a reply already */
    TIDE_NOT_HERE,      /* not in this hook */
    TIDE_WAIT,          /* yield, then ask again */
    TIDE_LIMIT,
};

enum tide_side { TIDE_REQUEST, TIDE_RESPONSE };

enum tide_text {
    TIDE_ID, TIDE_METHOD, TIDE_SCHEME, TIDE_HOST, TIDE_AUTHORITY, TIDE_PATH, TIDE_RAW_PATH, TIDE_QUERY, TIDE_CLIENT_IP,
    TIDE_ROUTE, TIDE_SERVICE, TIDE_NODE, TIDE_TLS_VERSION, TIDE_TLS_CIPHER, TIDE_TLS_NAME, TIDE_SOURCE, TIDE_REASON,
    TIDE_FAILURE, TIDE_REPLY_BODY,
    TIDE_TLS_ALPN, TIDE_CERT_SUBJECT, TIDE_CERT_ISSUER, TIDE_CERT_SERIAL, TIDE_CERT_FINGERPRINT, TIDE_CERT_NOT_AFTER,
    TIDE_CERT_PEM,      /* these in the order of enum tls_text */
    TIDE_HASH_KEY,      /* can only be set */
};
enum tide_number {
    TIDE_PORT, TIDE_CLIENT_PORT, TIDE_VERSION, TIDE_STARTED, TIDE_STATUS, TIDE_UPSTREAM_TIME, TIDE_TRIES,
    TIDE_FAILURE_STATUS, TIDE_BYTES_IN, TIDE_BYTES_OUT, TIDE_TOTAL_TIME,
};
int tide_text_of(double request, int what, struct slice *out);
int tide_number_of(double request, int what, double *out);

/* Where Lua keeps what belongs to a request: a place from 1 on, which is emptied at its end. 0: it is over, or nothing
 * is kept and nothing is going to be. */
int tide_kept(double request, bool is_going_to);

/* A parameter of the route's path, from 0 on; TIDE_ABSENT behind the last. */
int tide_param(double request, uint32_t index, struct slice *name, struct slice *value);

/* The number of a field name (in any case), to be given with it: above 0 where the gateway knows it, 0 where it does
 * not, -1 where it is no token (RFC 9110 section 5.6.2). Callers remember it. */
int tide_header_id(const char *name, size_t len);

/* The first field of a name. */
int tide_header(double request, int side, int id, const char *name, size_t len, struct slice *value);
/* The next field from *at on (0 at first), of a name or (name NULL) of any. */
int tide_header_next(double request, int side, int id, const char *name, size_t len, uint32_t *at,
                     struct slice *field, struct slice *value);
enum tide_change { TIDE_SET, TIDE_ADD, TIDE_REMOVE };
int tide_header_change(double request, int side, int change, int id, const char *name, size_t name_len,
                       const char *value, size_t value_len);

/* TIDE_ID, TIDE_METHOD, TIDE_PATH (put in normal form), TIDE_QUERY (without '?'), TIDE_HOST, TIDE_SERVICE (a name;
 * TIDE_ABSENT: there is none), TIDE_HASH_KEY (what a service that hashes picks its node by). */
int tide_text_set(double request, int what, const char *at, size_t len);
/* A node in place of a service's. host: a name, or an IP address without brackets. */
int tide_node_set(double request, bool is_tls, const char *host, size_t len, int port);
/* The most bytes that the request body may have, if that is less than the limit that holds already: over it, 413.
 * TIDE_LIMIT: it is known to have more. */
int tide_body_max_set(double request, double bytes);
/* A field of the access log's line: json is its value; len 0: none any more. TIDE_BAD_NAME: it can be no name, or is
 * that of a field which every line has; TIDE_LIMIT: over 32 fields, or 4 KiB of names and values. */
int tide_log_set(double request, const char *name, size_t len, const char *json, size_t json_len);
/* For the whole exchange, counted from its start. */
int tide_timeout_set(double request, double seconds);
int tide_status_set(double request, int status);

/* Makes a reply, without fields so far. In request, upstream, response and failure hooks. */
int tide_reply(double request, int status, const char *body, size_t len);
/* Another body in place of what there is. */
int tide_body_set(double request, int side, const char *at, size_t len);
/* The whole body, at most max bytes. TIDE_LIMIT: it is longer; nothing of it is lost. TIDE_ABSENT: there is none. */
int tide_body(double request, int side, double max, struct slice *out);

/* -- requests of a plugin's own; data-plane loops only --
 * A call is a number, and the running coroutine's: it is ended with it at the latest. What is given to C is copied;
 * what C gives are views until the next function about that call, or until the coroutine waits. */

struct tide_call_wish {
    struct slice method;
    struct slice target;                /* path and query, as they are sent */
    struct slice service;               /* its name; at NULL: to host and port */
    struct slice host;                  /* a name, or an IP address without brackets */
    struct slice fields;                /* names and values, each with a NUL behind it */
    struct slice body;                  /* at NULL: none */
    struct slice ca, server_name;       /* for TLS; empty: the system's authorities, host */
    double timeout;                     /* seconds, the whole */
    double connect_timeout;             /* seconds; 0: as the service says */
    double body_max;                    /* bytes of the response */
    uint16_t port;
    bool is_tls, verify;
    bool streams;                       /* body in pieces: TIDE_OK of tide_call_read is no end, where it says so */
};
struct tide_call_news {
    int status;                         /* 0: it failed */
    struct slice body;                  /* all of it, or the next piece */
    bool ended;                         /* nothing more comes */
    const char *why, *phase;            /* of a failure; phase: "connect", "send", "response", "body" */
};
/* Begins one; tide_wake(wait) is done when there is news. Not above 0: the reason is in e; below 0 it is a mistake of
 * the plugin's. */
double tide_call_start(const struct tide_call_wish *w, double wait, struct tide_error *e);
/* TIDE_OK; TIDE_WAIT: nothing new; TIDE_OVER: there is no such call. */
int tide_call_read(double call, struct tide_call_news *out);
/* The next field of the response from *at on (0 at first). */
int tide_call_field(double call, uint32_t *at, struct slice *field, struct slice *value);
/* The piece was used. TIDE_WAIT: tide_wake(wait) is done when there is news; TIDE_OK: there is some already. */
int tide_call_more(double call, double wait);
void tide_call_end(double call);

/* -- waiting, time -- */

/* The coroutine in hand is going to yield until tide_wake(number), or until seconds have passed (negative: no limit).
 * 0: it may not wait here, tide_place says where that is. */
double tide_wait(double seconds);
/* Whether the wait that ended last did so because its time was over. */
int tide_timed_out(void);
void tide_wake(double wait);
/* "request", "log", "load", ...: what is being run. */
const char *tide_place(void);
double tide_now(void);                          /* seconds since the epoch */
double tide_random(void);                       /* 0 to 2^32 - 1, from the kernel */
double tide_monotonic(void);                    /* seconds, of a clock that never jumps */

/* -- accounting, budget -- */

/* A number for a plugin instance, hook and route; the same for the life of the process. */
int tide_hook_slot(const char *plugin, const char *instance, const char *hook, const char *route);
/* The hook of that slot begins; 0: none. */
void tide_hook_begin(int slot);
void tide_hook_answered(void);
/* The new of the plugin of that slot runs: what it starts in the background is its own. 0: none any more. */
void tide_hook_loading(int slot);
void tide_hook_failed(const char *message);     /* in a plugin that may fail: logs, counts */
/* Whether the hook in hand may go on. */
int tide_budget_left(void);
struct tide_hook_totals { double calls, cpu, wait, errors, answers; };  /* times in seconds */
/* The totals of a slot over all loops; control thread. False where there is no such slot. Labels live as long as the
 * process. */
bool tide_hook_read(int slot, struct tide_hook_totals *totals, const char **plugin, const char **instance,
                    const char **hook, const char **route);
int tide_hook_count(void);

/* -- figures; reading: control thread -- */

/* Requests by route and node. Number 0 is what has no route; other numbers are below the count. */
enum { TIDE_BUCKETS = 14, TIDE_STATUSES = 64 };
struct tide_traffic {
    double by_status[TIDE_STATUSES];        /* see tide_traffic_status */
    double buckets[TIDE_BUCKETS];           /* of times, see tide_traffic_bound; each alone */
    double time, bytes_in, bytes_out, failures;     /* time: the sum, in seconds */
};
int tide_traffic_count(void);
double tide_traffic_bound(int bucket);          /* upper, in seconds; -1: none */
int tide_traffic_status(int place);             /* 0: cut without a status; -1: no such place */
/* kind: "route" (a: its name, b: its service) or "node" (a: service, b: address). False: nothing was counted. */
bool tide_traffic_read(int number, struct tide_traffic *sum, const char **kind, const char **a, const char **b);

/* Metrics of plugins. kind: "counter", "gauge", "histogram"; labels as they are shown. The number, the same over
 * reloads; 0: there are too many. Any thread. */
int tide_metric(const char *kind, const char *name, const char *help, const char *labels);
void tide_metric_add(int number, double n);
void tide_metric_set(int number, double value);
int tide_metric_count(void);
bool tide_metric_read(int number, double *value, const char **kind, const char **name, const char **help,
                      const char **labels);

/* Writes an event of a plugin into the error log, with its name, request and route. level: 0 debug to 3 error. pairs:
 * keys and values, each with a NUL behind it. */
void tide_log(int level, const char *message, const char *pairs, size_t len);
int tide_log_level(void);

/* -- the command line -- */

/* What main does after the Lua command line has parsed its words. */
enum tide_mode { TIDE_EXIT, TIDE_RUN, TIDE_START };
void tide_command(int mode, const char *config, const char *overrides);

/* Asks the running gateway over its control socket and waits for the answer. NULL when nobody answers within
 * timeout_ms (reason in e). The text is freed with tide_free. */
char *tide_control_call(const char *socket_path, const char *command, uint32_t timeout_ms, struct tide_error *e);
void tide_free(void *p);

/* The pid in a pid file when that process is alive and is a tidegate (it holds the file's lock); 0 otherwise. */
int tide_pid_alive(const char *pid_file);
int tide_signal(int pid, int signal_number);
void tide_sleep_ms(uint32_t ms);                /* command line only */
const char *tide_version(void);

/* Numbers of the running worker, summed over its loops. */
struct tide_status {
    uint64_t generation, started_ms, requests, connections_total, connections_open, bytes_in, bytes_out;
    uint64_t responses[6];                      /* by class; [0]: cut without a status */
    uint64_t upstream_tries, upstream_reused, upstream_retries, upstream_failures;
    uint64_t upstream_retries_refused;          /* by a budget */
    uint64_t upstream_hedges;                   /* further tries beside one that was under way */
    uint64_t upstream_races;                    /* ... beside one whose node took long to be reached */
    uint64_t log_lines, log_lost, accept_errors, refused, reloads_good, reloads_bad, worker_restarts;
    uint64_t websockets, websockets_open;       /* ever; now */
    uint64_t websocket_messages_in, websocket_messages_out;     /* of those whose frames are looked at */
    uint64_t websocket_bytes_in, websocket_bytes_out, websocket_errors;
    uint64_t websocket_connect_us;              /* from the requests to the 101s, of all */
    uint64_t regex_limit_hits;                  /* matches given up because they took too long */
    uint64_t lua_bytes, lua_bytes_most, lua_bytes_max;  /* of all loops, of the one that has most, what one may have */
    double longest_round, longest_chore;        /* seconds, of the loop where it was longest: see net/loop.h */
    uint32_t threads, upstream_open;
    int32_t supervisor_pid, worker_pid;
};
void tide_status_read(struct tide_status *out);

/* Requests that the loops had lately, a line each: number of the listener, method, host, path and client, with tabs
 * between them. Freed with tide_free. Control thread. */
char *tide_recent_heads(void);
/* The address of a listener by its number, as the configuration has it. False where it is gone. */
bool tide_listener_address(uint32_t number, const char **address);

/* RFC 3629. */
bool tide_utf8_is_valid(const char *at, size_t len);

/* -- WebSockets --
 * Of the request of that number. TIDE_ABSENT: it is no open WebSocket, or none that is looked into. */

/* How its frames are looked at, in place of what the route says; before it is opened. Times in seconds, 0: never. */
int tide_websocket_set(double request, double ping, double pong, double write, double idle, double max_message);
/* A message to the client, or to the upstream. TIDE_LIMIT: that end does not take what it has got already; TIDE_LATE:
 * it is closing. */
int tide_websocket_send(double request, bool to_client, bool is_binary, const char *at, size_t len);
/* Closes it on both sides. TIDE_BAD_VALUE: that code may not be sent; TIDE_LATE: it is closing already. */
int tide_websocket_close(double request, int code, const char *reason, size_t len);
/* What it has come to, in its ws_close hook. by: 0 the client, 1 the upstream, 2 the gateway. why: NULL, or what was
 * wrong. */
struct tide_websocket_end { int code, by; const char *why; double messages_in, messages_out, bytes_in, bytes_out; };
int tide_websocket_end(double request, struct tide_websocket_end *out);

/* -- sockets --
 * A socket is a number that goes stale when it is closed: then every call gives TIDE_SOCKET_GONE. In a data-plane loop
 * only. A call that gives TIDE_SOCKET_WAIT is made again when the wait that tide_socket_await was given is over, with
 * the number of that wait; the first call of an operation has 0. */
enum tide_socket_result {
    TIDE_SOCKET_DONE,
    TIDE_SOCKET_WAIT,
    TIDE_SOCKET_MORE,       /* what there is so far; the rest is still to come */
    TIDE_SOCKET_GONE,
    TIDE_SOCKET_ENDED,      /* the peer has closed it in good order */
    TIDE_SOCKET_BROKEN,     /* reset, or TLS failed */
    TIDE_SOCKET_REFUSED,    /* a datagram was */
    TIDE_SOCKET_LIMIT,      /* a datagram is too long */
    TIDE_SOCKET_BUSY,       /* another coroutine is at it */
    TIDE_SOCKET_FAILED,     /* with the reason */
};
enum tide_socket_way { TIDE_SOCKET_IN, TIDE_SOCKET_OUT };

struct tide_socket_target {         /* texts end with a NUL; NULL: none */
    const char *host, *unix_path;   /* one of them */
    const char *server_name, *ca, *cert, *key;
    uint16_t port;
    bool is_datagram, is_tls, verify;
};
/* 0: there are too many open in this loop. Below 0: the target is none, with the reason. */
double tide_socket_new(const struct tide_socket_target *target, struct tide_error *e);
/* Goes on until the socket is open. */
int tide_socket_connect(double socket, double wait, struct tide_error *e);
/* How many addresses could be tried beside those that are. */
int tide_socket_left(double socket);
/* The next tide_socket_connect tries one more of them. */
void tide_socket_hurry(double socket);
/* The coroutine in hand is going to wait until the socket is ready that way (enum tide_socket_way); 0: it does not wait
 * any more. A socket whose coroutine is cancelled in such a wait is closed. */
void tide_socket_await(double socket, int way, double wait);
/* Whether a call is under way that way. */
int tide_socket_is_busy(double socket, int way);

/* Sends from *sent on, which it moves. A datagram is sent whole. */
int tide_socket_send(double socket, double wait, const char *at, size_t len, double *sent);
/* The views hold until the next call for this socket; what they show counts as received.
 * DONE: n bytes; MORE: fewer, because n is large; ENDED, BROKEN: fewer, no more will come. */
int tide_socket_receive(double socket, double wait, double n, struct slice *out);
/* What there is, at most n bytes; of a datagram socket one datagram. */
int tide_socket_receive_any(double socket, double wait, double n, struct slice *out);
/* DONE: all up to the text, and the text; MORE: bytes that come before it. */
int tide_socket_receive_until(double socket, double wait, const char *text, size_t len, struct slice *out);
/* What was received and not given yet. */
int tide_socket_rest(double socket, struct slice *out);

/* Nobody uses the socket for at most so many seconds: it closes itself when they are over, when the peer closes it or
 * when bytes come. GONE also where bytes are there already. */
int tide_socket_idle(double socket, double seconds);
/* Takes it back into use. */
int tide_socket_use(double socket);
int tide_socket_is_idle(double socket);
int tide_socket_is_open(double socket);
void tide_socket_close(double socket);
/* How many are open in this loop. */
int tide_socket_count(void);

/* -- nodes of the configuration in force; control thread only --
 * Texts hold until the next reload. Times of day are seconds since the epoch. */

struct tide_node {
    struct slice service, address, reason;      /* of the newest change of its state */
    const char *state;                  /* "healthy", "unhealthy", "ejected", "slow start", "draining" */
    bool usable, backup;
    double weight, active;              /* requests in hand */
    double since;                       /* of that change; 0: there was none */
    double failures;                    /* in a row, as clients see them, where a health_check counts them */
    double failed;                      /* tries, ever */
    double ejections, changes;
    double checks;                      /* made ever */
    double open, max_open;              /* connections that count; max_open 0: they are not counted */
    double waiting, waited, turned_away;        /* requests: now, and ever */
};
/* From 0 on both, in the order of the configuration. False where there is none, and *more tells whether there is such a
 * service. */
bool tide_node_read(int service, int node, struct tide_node *out, bool *more);
/* Nodes that were taken out and still have something in hand: "draining". From 0 on, false behind the last. */
bool tide_draining_read(int index, struct tide_node *out);

/* A name that nodes have: struct name_report of net/names.h, in seconds. */
struct tide_name {
    const char *name, *why;
    bool is_service;                    /* SRV records, not addresses */
    double count, failures;
    double good;                        /* when the last good answer came; 0: never */
    double next;                        /* until it is asked again */
};
/* From 0 on, false behind the last. */
bool tide_name_read(int index, struct tide_name *out);

/* Where nodes are discovered: struct source_report of proxy/source.h. From 0 on, false behind the last. */
struct tide_source { const char *kind, *words, *why; double count, failures, good; };
bool tide_source_read(int index, struct tide_source *out);
/* A list of nodes for such a source: begin, add each (weight 1, enabled), and give; or what was wrong. NULL: nobody
 * wants it any more. Control thread. */
struct source *tide_source_begin(const char *kind, const char *words);
struct node_settings *tide_source_add(struct source *s, const char *host, size_t len);
void tide_source_give(struct source *s);
void tide_source_fail(struct source *s, const char *why);

/* The circuit breaker of a service, by its index, or of a route, by its index behind those. False where it has none;
 * *more as above. */
struct tide_breaker {
    struct slice name;
    bool is_route;
    const char *state;
    double opened, failures, requests;
    double wait;                        /* seconds until it lets a request through, while it is open */
};
bool tide_breaker_read(int index, struct tide_breaker *out, bool *more);

/* Of a service whose requests at a time are bounded; baseline: seconds that an answer takes with few requests, 0 where
 * the limit is fixed. False where they are not; *more as above. */
struct tide_overload {
    struct slice service;
    double requests, limit, waiting, waited, turned_away, baseline;
    bool adaptive;
};
bool tide_overload_read(int service, struct tide_overload *out, bool *more);

struct tide_check { double at, took; bool good; const char *reason; };
/* The newest one is 0; at most 20 are kept. False behind the last. */
bool tide_check_read(int service, int node, int back, struct tide_check *out);

/* -- shared dictionaries --
 * base/dict.h and base/dict_limit.h tell what these do. Any thread but where it says control thread; each call is one
 * step for all others. Times are seconds; now is tide_monotonic. A ttl of INFINITY is for ever. Scope 0 has the values
 * that plugins set; tide_dict_scope gives others. Below 0 is an answer of enum tide_dict_answer. */
struct dict;
enum tide_dict_answer {
    TIDE_DICT_DONE = 0,
    TIDE_DICT_ABSENT = -1, TIDE_DICT_EXISTS = -2, TIDE_DICT_WRONG_KIND = -3,
    TIDE_DICT_KEY_LIMIT = -4, TIDE_DICT_VALUE_LIMIT = -5,
};
enum tide_dict_kind { TIDE_DICT_STRING = 1, TIDE_DICT_NUMBER = 2, TIDE_DICT_BOOLEAN = 3 };
enum tide_dict_mode { TIDE_DICT_SET, TIDE_DICT_ADD, TIDE_DICT_REPLACE };

/* Finds a dictionary or makes one of so many bytes (0: 8 MiB), for the life of the process. NULL with the reason. */
struct dict *tide_dict_use(const char *name, size_t len, double bytes, struct tide_error *e);
/* A number for a space of keys, the same for the same name in all threads, generations and snapshots. Never 0. */
uint64_t tide_dict_scope(const char *name, size_t len);
double tide_dict_key_limit(struct dict *d);     /* bytes */
double tide_dict_value_limit(struct dict *d);

/* The kind of the value, which is in *out. Its bytes hold until the thread's next call of this or tide_dict_keys. */
struct tide_dict_value { const char *at; size_t len; double number, left; };    /* left: of its time to live */
int tide_dict_get(struct dict *d, uint64_t scope, const char *key, size_t len, double now,
                  struct tide_dict_value *out);
int tide_dict_put_string(struct dict *d, uint64_t scope, const char *key, size_t len, const char *value,
                         size_t value_len, double ttl, double now, int mode);
/* A number or, as 0 or 1, a boolean. */
int tide_dict_put_number(struct dict *d, uint64_t scope, const char *key, size_t len, int kind, double value,
                         double ttl, double now, int mode);
int tide_dict_incr(struct dict *d, uint64_t scope, const char *key, size_t len, double by, double init, double ttl,
                   double now, double *sum);
/* What is left of the time to live; below 0 where the key is absent. */
double tide_dict_left(struct dict *d, uint64_t scope, const char *key, size_t len, double now);
int tide_dict_expire(struct dict *d, uint64_t scope, const char *key, size_t len, double ttl, double now);
int tide_dict_delete(struct dict *d, uint64_t scope, const char *key, size_t len, double now);
/* Some keys of scope 0, each with its length (uint32_t) before it; *cursor is 0 at first. 0 when there are no more. */
int tide_dict_keys(struct dict *d, uint64_t *cursor, double now, struct slice *keys);
void tide_dict_flush(struct dict *d);

struct tide_dict_stats { double bytes, bytes_used, entries, hits, misses, evictions, expired; };
void tide_dict_stats_read(struct dict *d, struct tide_dict_stats *out);

/* Takes from an allowance: 1 allowed, 0 refused; *out is set by both. */
struct tide_dict_taken { double remaining, retry_after, reset; };
int tide_dict_bucket(struct dict *d, uint64_t scope, const char *key, size_t len, double rate, double burst,
                     double cost, double now, struct tide_dict_taken *out);
int tide_dict_window(struct dict *d, uint64_t scope, const char *key, size_t len, double limit, double window,
                     int sliding, double cost, double now, struct tide_dict_taken *out);

/* Control thread: finds or makes it and gives it this size, changing what it had in place. NULL with the reason. */
struct dict *tide_dict_open(const char *name, size_t len, double bytes, struct tide_error *e);
/* Control thread: it is not in the configuration any more: empties it, and gives it the size of one that never was.
 * 0, or -1 when there is none that was opened. */
int tide_dict_retire(const char *name, size_t len);
/* The dictionaries of the process, from 0 in the order in which they were made; NULL behind the last. opened: by
 * tide_dict_open. */
struct dict *tide_dict_at(uint32_t index, struct slice *name, bool *opened);
/* Control thread, may take their time: into a file, replaced in one step, and back. The number of entries saved or
 * added, or -1 with the reason. Loading a file that is not there gives 0. */
double tide_dict_save(struct dict *d, const char *path, struct tide_error *e);
double tide_dict_load(struct dict *d, const char *path, struct tide_error *e);
/* } ffi */
