#pragma once
/* ws_check: are the frames of one direction of a WebSocket what RFC 6455 allows? It keeps nothing of what it has seen
 * but a few bytes of state, takes payload in any split, and changes none of it: frames are relayed as they are.
 *
 *     ws_head_parse -> ws_check_head -> ws_check_payload, until c->left is 0 -> ws_head_parse ...
 *
 * What is wrong is told as the code to close with, and *why, a static text that names the rule. After that, and once
 * c->close_code is not 0 and c->left is 0, nothing more is to be read in this direction. */
#include "http/ws_frame.h"

struct ws_rules {
    uint64_t max_message;   /* bytes of a message as they are on the wire (before inflating); 0: no bound */
    bool expects_mask;      /* what comes from a client is masked, what comes from a server is not */
    bool deflate;           /* permessage-deflate was agreed on: RSV1 may be set, RFC 7692 section 6 */
};

struct ws_check {           /* all zero is the start state */
    uint64_t left;          /* bytes of payload of the frame in hand that are still to come */
    uint64_t message_bytes; /* of the message in hand, with all of its last frame */
    uint16_t close_code;    /* of the close frame, once it is known: WS_CLOSE_NONE where it has none */
    uint8_t message_opcode; /* WS_TEXT or WS_BINARY from the first frame of a message to the end of its last, else 0 */
    bool is_compressed;     /* the message in hand */
    uint8_t opcode;         /* of the frame in hand */
    bool fin;               /* so is its */
    uint8_t passed;         /* bytes of its payload that have come, modulo 256 */
    uint8_t text, reason;   /* UTF-8 states: of the message in hand, of the close frame */
    uint8_t mask[4];
};

/* The next head, before any of its payload. 0, or the close code: WS_CLOSE_PROTOCOL, WS_CLOSE_TOO_BIG (known before a
 * byte of the frame is passed on), WS_CLOSE_NOT_UTF8 (a frame without payload ends a text within a character). */
unsigned ws_check_head(struct ws_check *c, const struct ws_rules *r, const struct ws_head *h, const char **why);

/* The next bytes of the payload as they are on the wire, masked or not; at most c->left. Only texts and close frames
 * are looked at. 0, or the close code: WS_CLOSE_NOT_UTF8, as soon as it is sure, or WS_CLOSE_PROTOCOL. */
unsigned ws_check_payload(struct ws_check *c, struct slice bytes, const char **why);
