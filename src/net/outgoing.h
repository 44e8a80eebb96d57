#pragma once
/* outgoing: a socket of ours to somebody else, from a name to bytes: it finds the addresses, tries one after the other,
 * and shakes hands where there is TLS. It never blocks and has no clock: who owns it steps it until it is open, and
 * gives up an address, or all of it, when the time is over. */
#include "base/arena.h"
#include "net/addr.h"
#include "net/lookup.h"
#include "net/stream.h"
#include "net/tls_context.h"

enum outgoing_kind { OUTGOING_STREAM, OUTGOING_DATAGRAM };

struct outgoing_target {
    enum outgoing_kind kind;
    bool is_unix, is_tls;           /* TLS: streams only */
    struct slice host;              /* a name, an address, or the path of a unix socket */
    uint16_t port;
    struct slice server_name;       /* TLS: whose certificate is expected */
    struct tls_client_settings tls;
};

struct outgoing {                   /* all zero: not begun */
    struct stream stream;           /* stream.io.on_event: the owner's */
    struct loop *loop;
    struct way *way;                /* what is needed until it is open; NULL from then on */
    enum outgoing_kind kind;
};

/* Begins; the texts of the target are copied. fn(loop, who) is called when a step may go on without an event of the
 * socket. RC_MALFORMED: the path is none of a unix socket. */
enum rc outgoing_begin(struct outgoing *o, struct loop *loop, const struct outgoing_target *target,
                       void (*on_event)(struct io *io), lookup_fn *fn, double who);

/* RC_OK      it is open
 * RC_AGAIN   step again after the next event of the socket, or when fn is called
 * else       it failed, the reason is in why[size]: "refused", "unreachable: ...", "cannot resolve ...", "tls: ..." */
enum rc outgoing_step(struct outgoing *o, char *why, size_t size);

/* How many addresses are left to try, with the one in hand; 0 while they are not known, or once it is connected. */
int outgoing_tries(const struct outgoing *o);
/* Gives the address in hand up: the next step tries the one after it, or fails as if it had timed out. */
void outgoing_give_up(struct outgoing *o);

/* One datagram, of at most size bytes. RC_OK (*n may be 0), RC_AGAIN, RC_LIMIT (it was longer, and is lost), RC_REFUSED
 * (nobody listens there), RC_RESET (another error). */
enum rc outgoing_read_datagram(struct outgoing *o, char *at, size_t size, size_t *n);
/* RC_OK, RC_AGAIN, RC_LIMIT (longer than the network takes), RC_REFUSED, RC_RESET. */
enum rc outgoing_write_datagram(struct outgoing *o, struct slice bytes);

/* Closes the socket and gives all back but the struct itself, which must be buried (loop_bury). */
void outgoing_close(struct outgoing *o);
