#pragma once
/* ws_handshake: the values of the opening handshake of a WebSocket, RFC 6455 section 4, and of the one extension there
 * is, permessage-deflate, RFC 7692 section 7.1. Values in, values out; who may open what is not decided here. */
#include "base/buf.h"
#include "base/rc.h"
#include "base/slice.h"

enum {
    WS_ACCEPT_LEN = 28,     /* bytes of a Sec-WebSocket-Accept */
    WS_BITS_ANY = 255,      /* client_max_window_bits without a value */
    WS_TERMS_MAX = 160,     /* bytes that ws_terms_write may need */
};

/* True for a Sec-WebSocket-Key: 16 bytes in base64, RFC 6455 section 4.2.1. */
bool ws_key_is_valid(struct slice key);

/* The Sec-WebSocket-Accept that answers a key, RFC 6455 section 4.2.2; no NUL behind it. */
void ws_accept_for(struct slice key, char out[WS_ACCEPT_LEN]);

/* True when a Sec-WebSocket-Protocol field has the name, which is compared with its case. */
bool ws_protocol_is_offered(struct slice field, struct slice name);

struct ws_terms {           /* parameters of permessage-deflate */
    bool server_no_takeover, client_no_takeover;    /* each message of that side is compressed by itself */
    uint8_t server_bits;    /* 8 to 15: the largest window that the server may use; 0: not named */
    uint8_t client_bits;    /* the same of the client; in an offer it may be WS_BITS_ANY */
};

/* Takes the next offer of permessage-deflate from the front of a Sec-WebSocket-Extensions field of a request. Other
 * extensions are passed over, and so are offers that a server has to decline (section 7): unknown or repeated
 * parameters, values that may not be.
 * RC_OK         *out is an offer
 * RC_END        there is no further one
 * RC_MALFORMED  this is no list of extensions, RFC 6455 section 9.1 */
enum rc ws_offer_next(struct slice *field, struct ws_terms *out);

/* Reads the Sec-WebSocket-Extensions of a response where permessage-deflate alone was asked for; `offered_bits`: with
 * client_max_window_bits, which is wrong to answer otherwise.
 * RC_OK         it was agreed on, on these terms
 * RC_END        the list is empty
 * RC_MALFORMED  no list, another extension, the same one twice, a parameter that may not be: the connection has failed
 * Where a response has several such fields, they are to be joined with commas. */
enum rc ws_answer_parse(struct slice field, bool offered_bits, struct ws_terms *out);

/* Writes the extension with its parameters, as an offer or as the answer to one, and gives the bytes written. */
size_t ws_terms_write(char out[WS_TERMS_MAX], const struct ws_terms *terms);

/* Appends what of a request's field may be asked of an upstream: its good offers of permessage-deflate, in their order;
 * none where the field is malformed. `alone`: each message has to be readable by itself, so that both
 * no_context_takeover are asked for as well. What the buf has already is the beginning of the same list. *offered_bits
 * is set where an offer has client_max_window_bits, else left.
 * RC_OK, RC_LIMIT of the buf, or RC_MALFORMED */
enum rc ws_offers_append(struct buf *list, struct slice field, bool alone, bool *offered_bits);
