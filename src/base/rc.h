#pragma once
/* rc: what a function that can fail returns. One table gives each code its word for the log and the HTTP status it
 * becomes where it ends an exchange. RC_OK, RC_AGAIN and RC_END are not errors. */

#define RC_TABLE(X)                                                                                                    \
    X(OK, "ok", 200)                                                                                                   \
    X(AGAIN, "would block", 500)                                                                                       \
    X(END, "end", 200)                                                                                                 \
    X(MALFORMED, "malformed message", 400)                                                                             \
    X(HANDSHAKE, "broken WebSocket handshake", 400)                                                                    \
    X(ORIGIN, "origin not allowed", 403)                                                                               \
    X(BAD_TIMEOUT, "X-Request-Timeout is no time", 400)                                                                \
    X(HIDDEN, "hidden file", 404)                                                                                      \
    X(NO_ROUTE, "no route", 404)                                                                                       \
    X(NO_SERVICE, "service not found", 404)                                                                            \
    X(METHOD, "method not allowed", 405)                                                                               \
    X(CLIENT_SLOW, "client too slow", 408)                                                                             \
    X(NO_LENGTH, "content-length required", 411)                                                                       \
    X(BODY_LIMIT, "request body too large", 413)                                                                       \
    X(URI_LIMIT, "request target too long", 414)                                                                       \
    X(EXPECTATION, "unknown expectation", 417)                                                                         \
    X(WS_VERSION, "WebSocket version not supported", 426)                                                              \
    X(HEAD_LIMIT, "request head too large", 431)                                                                       \
    X(UNDECIDED, "pattern takes too long to match", 500)                                                               \
    X(LIMIT, "limit reached", 500)                                                                                     \
    X(INTERNAL, "internal error", 500)                                                                                 \
    X(UNKNOWN_CODING, "transfer coding or method not supported", 501)                                                  \
    X(REFUSED, "upstream refused the connection", 502)                                                                 \
    X(UNREACHABLE, "upstream unreachable", 502)                                                                        \
    X(RESET, "upstream closed the connection early", 502)                                                              \
    X(UPSTREAM_BAD, "upstream sent a broken message", 502)                                                             \
    X(UPSTREAM_TLS, "TLS with the upstream failed", 502)                                                               \
    X(NO_NODE, "no node available", 503)                                                                               \
    X(NO_ADDRESS, "no address of its nodes is known yet", 503)                                                         \
    X(OPEN, "circuit breaker is open", 503)                                                                            \
    X(NODE_FULL, "all connections to the upstream are in use", 503)                                                    \
    X(OVERLOAD, "service is overloaded", 503)                                                                          \
    X(QUEUE_TIMEOUT, "waited too long for the upstream", 503)                                                          \
    X(FULL, "gateway is full", 503)                                                                                    \
    X(CONNECT_TIMEOUT, "upstream connect timed out", 504)                                                              \
    X(SEND_TIMEOUT, "upstream read too slowly", 504)                                                                   \
    X(FIRST_BYTE_TIMEOUT, "upstream did not answer in time", 504)                                                      \
    X(TRY_TIMEOUT, "upstream took too long for one try", 504)                                                          \
    X(IDLE_TIMEOUT, "upstream stopped in its response", 504)                                                           \
    X(ROUTE_TIMEOUT, "route timeout", 504)                                                                             \
    X(LATE, "the client's time is over", 504)                                                                          \
    X(VERSION, "HTTP version not supported", 505)                                                                      \
    X(CLIENT_GONE, "client closed the connection", 499)                                                                \
    X(EOF, "connection closed", 502)

#define RC_ENUM(name, word, status) RC_##name,
enum rc { RC_TABLE(RC_ENUM) RC_COUNT };
#undef RC_ENUM

/* Never NULL, static. */
const char *rc_word(enum rc rc);
/* The status for a client whose request ends with this code. */
int rc_status(enum rc rc);
