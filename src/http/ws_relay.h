#pragma once
/* ws_relay: the frames of a WebSocket (RFC 6455) both ways between a client and a server. What one end sends is
 * checked, and goes to the other as it is; where somebody wants to see messages they are put together first, and he
 * says what becomes of each. Both ends are pinged, given up when they are gone, and told when the other one is.
 *
 * Each end is read only as fast as the other one takes it. There are no clocks and no events in here: the owner runs
 * the relay when a stream is ready, and at the time that ws_relay_due names. */
#include "base/buf.h"
#include "http/ws_check.h"
#include "http/ws_deflate.h"
#include "net/stream.h"

enum ws_side { WS_CLIENT, WS_SERVER };

/* What the relays of one loop share; all zero at first. */
struct ws_shared {
    char *room;                         /* what was read */
    uint8_t keys[256];                  /* random, for masks: RFC 6455 section 5.3 */
    uint32_t keys_left;
    struct ws_zip zip;                  /* of those who look at messages */
    struct buf inflated, deflated;
};
void ws_shared_free(struct ws_shared *s);

/* Times are milliseconds of the loop's clock; 0: never. */
struct ws_times { uint32_t ping_ms, pong_ms, write_ms, idle_ms; };

struct ws_relay_rules {
    struct ws_times times;
    uint64_t max_message;               /* bytes */
    bool deflate;                       /* both ends have agreed on permessage-deflate */
    bool sees_messages;                 /* events->message is asked about each */
};

struct ws_message {
    uint8_t opcode;                     /* WS_TEXT or WS_BINARY; may be changed with the data */
    bool is_compressed;
    struct slice data;                  /* as it came: still compressed, where it is */
    enum { WS_PASS, WS_CHANGE, WS_DROP } verdict;
    struct slice changed;               /* for WS_CHANGE: what is sent instead */
    bool changed_is_compressed;         /* ... and so is it */
};

struct ws_relay;

struct ws_events {
    /* A whole message has come from this end. RC_OK: m says what becomes of it; RC_AGAIN: asked again with the next
     * run, about the same message. */
    enum rc (*message)(struct ws_relay *r, enum ws_side from, struct ws_message *m);
};

struct ws_end {
    struct stream *stream;
    struct buf kept;                    /* bytes for it that it has not taken yet */
    struct buf later;                   /* frames for it that wait for the end of the frame under way */
    struct buf rest;                    /* of what it sent: the begin of a head or of a control frame; or, while a
                                         * message is being looked at, all that came behind it */
    struct buf whole;                   /* the message that comes from it, where somebody wants to see it */
    struct ws_check check;              /* of what it sends */
    uint64_t heard_ms, took_ms, pinged_ms;
    uint64_t waits_ms;                  /* since when `later` has had something */
    uint64_t bytes, messages;           /* that it sent */
    uint8_t opcode;                     /* of the message in `whole` */
    uint8_t phase;                      /* bytes of the frame in hand that are in it, modulo 4 */
    bool is_compressed;                 /* ... and so is it */
    bool is_asked;                      /* ... and somebody looks at it */
    bool has_more;                      /* `rest` is to be looked at before anything else is read */
    bool is_pinged;                     /* by us, and it has not answered */
    bool is_gone;                       /* its stream has ended, or was given up */
    bool has_closed;                    /* its close frame came */
    bool was_told;                      /* a close frame went to it, or will as soon as it can */
    bool is_deaf;                       /* it broke the rules: what it still sends means nothing any more */
    bool is_shut;                       /* ... and it knows that nothing more comes */
    bool is_torn;                       /* a frame for it was begun that nobody will end: no other can follow */
};

struct ws_relay {
    struct ws_end ends[2];              /* by enum ws_side */
    const struct ws_relay_rules *rules;
    const struct ws_events *events;
    struct ws_shared *shared;
    uint64_t now_ms;                    /* of the run */
    uint32_t asked;                     /* messages of the end in hand that somebody was asked about */
    uint64_t moved_ms;                  /* when the last message, or a piece of one, went through */
    uint64_t closing_ms;                /* since when it has been ending; 0: it has not */
    bool is_closing;                    /* ... as the last run knew */
    uint16_t code;                      /* why it ends: what the first close frame said, or the relay itself */
    bool by_relay;                      /* ... and it was the relay that closed it */
    uint8_t by;                         /* enum ws_side: ... else whose close it was, or whose fault */
    const char *why;                    /* static text: what was wrong; NULL: nothing */
};

/* *r is all zero but for rules, events and shared. early: bytes that came with the handshake. */
void ws_relay_begin(struct ws_relay *r, struct stream *client, struct stream *server, struct slice early_client,
                    struct slice early_server, uint64_t now_ms);
/* RC_AGAIN: wait. RC_LIMIT: there is more to do, others first. RC_END: both ends know that it is over.
 * RC_RESET: it broke off. */
enum rc ws_relay_run(struct ws_relay *r, uint64_t now_ms);
/* When ws_relay_run is to be called at the latest. UINT64_MAX: by events alone. */
uint64_t ws_relay_due(struct ws_relay *r);

/* Sends a message of the gateway's own. Only where rules->sees_messages; else it could come between the pieces of
 * another; it goes before the message that is being looked at. RC_LIMIT: that end does not take what it has got
 * already; RC_END: it is closed. The stream is written to
 * with the next run. */
enum rc ws_relay_send(struct ws_relay *r, enum ws_side to, uint8_t opcode, struct slice data);
/* Closes it from the middle: both ends get this code and reason with the next run. Nothing where it ends already. */
void ws_relay_close(struct ws_relay *r, unsigned code, struct slice reason, const char *why);
/* Between messages on both sides, and nobody looks at one. */
bool ws_relay_is_quiet(const struct ws_relay *r);
void ws_relay_free(struct ws_relay *r);
