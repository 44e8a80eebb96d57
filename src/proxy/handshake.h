#pragma once
/* handshake: the request and the response that make a WebSocket, RFC 6455 section 4, checked for both ends. */
#include "proxy/exchange.h"

/* It asks for a WebSocket. All else passes as it is. */
bool handshake_is_asked(const struct request *r);
/* Before the request goes on. RC_OK; RC_HANDSHAKE, RC_WS_VERSION or RC_ORIGIN: what is wrong with it, and *why for the
 * log, static text. What the route adds is in the request's fields then. */
enum rc handshake_check_request(struct exchange *x, const char **why);
/* The upstream's 101. RC_OK, or RC_UPSTREAM_BAD with the reason. */
enum rc handshake_check_response(struct exchange *x, const char **why);
