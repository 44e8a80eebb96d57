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

/* A certificate of the listener added last; PEM files, ocsp may be NULL (DER file). Loaded and checked at once.
 * 0, or -1 with the reason. */
int tide_generation_add_certificate(struct generation *g, const char *cert, const char *key, const char *ocsp,
                                    struct tide_error *e);

/* To the route added last. Hosts: "a.example.com" or "*.example.com", in lower case. Paths: "/exact", or "/prefix/" and
 * a star.
 * A route without hosts matches any host; without paths, any path. Methods in upper case; none: all but TRACE.
 * 0, or -1 with the reason. */
int tide_generation_add_host(struct generation *g, const char *host, size_t len, struct tide_error *e);
int tide_generation_add_path(struct generation *g, const char *path, size_t len, struct tide_error *e);
int tide_generation_add_method(struct generation *g, const char *method, size_t len, struct tide_error *e);
int tide_generation_add_header(struct generation *g, const char *name, size_t name_len,
                               const char *value, size_t value_len, struct tide_error *e);

/* Compiles the router, the TLS contexts of listeners and services, the balancers; resolves node names.
 * 0, or -1 with the reason; *what and *index then say whose fault it is (enum built_part). */
enum built_part { PART_LISTENER, PART_SERVICE, PART_ROUTE, PART_ACCESS_LOG, PART_GATEWAY };
int tide_generation_finish(struct generation *g, struct tide_error *e, int *what, int *index);

/* -- checks that the schema needs; all without side effects -- */

/* Puts the canonical form of a listen address ("127.0.0.1:80", "[::]:80", ":8080" is "0.0.0.0:8080",
 * "unix:/path") into e->text. 0, or -1 with the reason in e->text. */
int tide_address_check(const char *at, size_t len, struct tide_error *e);
int tide_cidr_check(const char *at, size_t len);

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
    uint64_t log_lines, log_lost, accept_errors, refused, reloads_good, reloads_bad, worker_restarts;
    uint32_t threads, upstream_open;
    int32_t supervisor_pid, worker_pid;
};
void tide_status_read(struct tide_status *out);
/* } ffi */
