#pragma once
/* ws_frame: the frames of WebSocket, RFC 6455 section 5.2, as bytes: heads, masks, the body of a close frame. Which
 * frame may come when is ws_check's. */
#include "base/rc.h"
#include "base/slice.h"

enum ws_opcode {            /* RFC 6455 section 11.8; all others are reserved */
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xa,
};

enum ws_close_code {        /* RFC 6455 section 7.4.1 and IANA's registry */
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NONE = 1005,           /* stands for a close frame without a code; never on the wire */
    WS_CLOSE_ABNORMAL = 1006,       /* stands for an end without a close frame; never on the wire */
    WS_CLOSE_NOT_UTF8 = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_EXTENSION = 1010,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_RESTART = 1012,
    WS_CLOSE_TRY_LATER = 1013,
    WS_CLOSE_BAD_GATEWAY = 1014,
};

enum {
    WS_HEAD_MAX = 14,       /* bytes of the longest head */
    WS_CONTROL_MAX = 125,   /* bytes of payload of a control frame, RFC 6455 section 5.5 */
    WS_RSV1 = 4,            /* in ws_head.rsv: the first frame of a compressed message, RFC 7692 section 6 */
};

struct ws_head {
    uint64_t len;           /* bytes of payload, below 2^63 */
    uint8_t mask[4];        /* zero where it is not masked */
    uint8_t opcode;         /* 0 to 15: enum ws_opcode, or a reserved one */
    uint8_t rsv;            /* the three reserved bits */
    uint8_t size;           /* bytes of the head itself; ws_head_write does not look at it */
    bool fin, masked;
};

static inline bool ws_opcode_is_control(unsigned opcode) { return opcode & 8; }

/* Reads the head that these bytes begin with.
 * RC_OK         *out is all of it
 * RC_AGAIN      it has more bytes than these
 * RC_MALFORMED  its length takes more bytes than it needs, or has 64 bits: close with WS_CLOSE_PROTOCOL */
enum rc ws_head_parse(struct slice bytes, struct ws_head *out);

/* Writes a head, its length in as few bytes as it can be, and gives the number of bytes written. */
size_t ws_head_write(char out[WS_HEAD_MAX], const struct ws_head *h);

/* Masks bytes in place, or takes their mask away. `offset` is how many bytes of the payload came before them. */
void ws_mask(char *at, size_t len, const uint8_t mask[4], uint64_t offset);

/* The mask for the byte of the payload behind `offset` others and the seven that follow, as they lie in memory. */
uint64_t ws_mask_key(const uint8_t mask[4], uint64_t offset);

/* True for a code that may stand in a close frame. */
bool ws_close_code_is_valid(unsigned code);

/* Writes the body of a close frame and gives its bytes. A reason that is too long, or not UTF-8, is cut behind the last
 * whole character that fits. WS_CLOSE_NONE writes nothing. */
size_t ws_close_write(char out[WS_CONTROL_MAX], unsigned code, struct slice reason);
