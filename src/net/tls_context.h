#pragma once
/* tls_context: certificates, SNI, ALPN, tickets, client certificates. Counted by reference across threads; immutable
 * once published. */
#include "base/rc.h"
#include "base/slice.h"

struct tls_context;

struct tls_server_settings {
    int min_version;                /* TLS1_2_VERSION or TLS1_3_VERSION */
    struct slice ciphers;           /* "modern" or an OpenSSL list */
    int client_auth;                /* 0 none, 1 optional, 2 required */
    struct slice client_ca;         /* PEM file, or empty */
};

struct tls_client_settings {
    bool verify;
    struct slice ca;                /* PEM file; empty: the system's */
    struct slice cert, key;         /* empty: none */
};

/* All take NUL-terminated slices and put the reason of a failure into why[size]. */
struct tls_context *tls_server_new(const struct tls_server_settings *s, char *why, size_t size);
/* The first certificate is the default; the names it holds (subjectAltName) choose it by SNI. ocsp may be NULL. */
enum rc tls_server_add(struct tls_context *t, const char *cert, const char *key, const char *ocsp, char *why,
                       size_t size);
struct tls_context *tls_client_new(const struct tls_client_settings *s, char *why, size_t size);
/* Any thread. A stream keeps its context until it closes. */
void tls_context_keep(struct tls_context *t);
void tls_context_drop(struct tls_context *t);

/* Makes new ticket keys and keeps the last two for resumption. Call once at start and then by the clock; any thread. */
void tls_rotate_tickets(void);
/* The oldest error in this thread's OpenSSL queue as words, and empties it. */
const char *tls_last_error(void);

void *tls_context_ssl_ctx(struct tls_context *t);       /* the SSL_CTX, for stream_tls */
