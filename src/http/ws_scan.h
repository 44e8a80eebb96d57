#pragma once
/* ws_scan: what one end of a relay has sent, frame by frame. Private to ws_relay. */
#include "http/ws_relay.h"

enum {
    WS_READ_BYTES = 64 * 1024,          /* one read */
    WS_REST_MAX = 2 * (WS_READ_BYTES + WS_HEAD_MAX + WS_CONTROL_MAX),
};

enum {
    WS_PING_BYTES = 8,
    WS_ASKED_MAX = 32,                  /* messages that are looked at before others get their turn */
};
extern const char ws_ping_body[WS_PING_BYTES + 1];      /* of our pings: their pongs go no further */

/* Looks at bytes of `from`, and passes on what is to go on. May write into them. What is no whole head or control frame
 * yet is in from->rest after it. */
void ws_scan(struct ws_relay *r, struct ws_end *from, char *at, size_t len);
/* Asks once more about the message that somebody has been looking at. False: he still does. */
bool ws_scan_ask_again(struct ws_relay *r, struct ws_end *from);
