#pragma once
/* forward: what a gateway must change in a head on its way through, whatever protocols speak on either side: the client
 * is told to the upstream (X-Forwarded-*, Forwarded of RFC 7239, Via, request id). */
#include "proxy/exchange.h"

/* Before the first try. Also settles x->id and x->client. */
void forward_request(struct exchange *x);
/* OPTIONS and TRACE: counts Max-Forwards down (RFC 9110 section 7.6.2). False when the request goes no further. */
bool forward_max_forwards(struct exchange *x);
/* X-Request-Timeout, where its sender is believed. RC_BAD_TIMEOUT: it is no time; RC_LATE: that is over already. */
enum rc forward_take_timeout(struct exchange *x);
/* Before each try: the node is told how long it has, in the loop's time; DEADLINE_NEVER: nothing, whatever was sent. */
void forward_timeout(struct exchange *x, uint64_t due_ms);
/* The path towards the upstream: strip_prefix, add_prefix. */
void forward_path(struct exchange *x);
/* For every final response of an upstream. */
void forward_response(struct exchange *x);
/* Whether a text can be a request id: 1 to 128 bytes, none that could break a header or a line of a log. */
bool forward_is_id(struct slice id);
/* Kept when the client sent a decent one, else made: loop prefix and a counter. */
void forward_make_id(struct exchange *x);
/* The address that counts as the client: the last one in X-Forwarded-For that no trusted proxy put there. */
void forward_find_client(struct exchange *x);
