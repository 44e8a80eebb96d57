#pragma once
/* stream_tls: the stream over OpenSSL. Turns a plain stream into a TLS one before any byte was exchanged. */
#include "net/stream.h"
#include "net/tls_context.h"

/* The stream keeps the context until it closes. False when there is no memory. */
bool stream_tls_accept(struct stream *s, struct tls_context *t);
/* server_name is sent as SNI and checked against the certificate when the context verifies; NUL-terminated. */
bool stream_tls_connect(struct stream *s, struct tls_context *t, const char *server_name);

/* The bytes of the stream lie elsewhere now. */
void stream_tls_moved(struct stream *s);

struct tls_facts {
    const char *version;            /* "TLSv1.3"; static */
    const char *cipher;             /* static */
    const char *server_name;        /* SNI, or NULL; lives as long as the stream */
};
/* After the handshake. */
struct tls_facts stream_tls_facts(const struct stream *s);
/* What was agreed on, and the certificate that the peer has shown. Names as in RFC 2253, the serial and the SHA-256
 * fingerprint in hexadecimal digits, the end of its life as "Jan  1 00:00:00 2030 GMT". */
enum tls_text {
    TLS_ALPN, TLS_PEER_SUBJECT, TLS_PEER_ISSUER, TLS_PEER_SERIAL, TLS_PEER_FINGERPRINT, TLS_PEER_NOT_AFTER,
    TLS_PEER_PEM,
};
/* Writes at most size bytes and gives how many; 0 where there is nothing, or not enough room. */
size_t stream_tls_text(const struct stream *s, enum tls_text what, char *out, size_t size);
/* Why the handshake failed; static or thread-local text. */
const char *stream_tls_error(const struct stream *s);
