#pragma once
/* outgoing: a socket of ours to somebody else, from a name to bytes: it finds the addresses, connects to the one that
 * answers first, and shakes hands where there is TLS. Addresses are tried one beside the other (happy eyeballs, RFC
 * 8305 section 5): the next one when one has failed, or when its owner says that they take too long. It never blocks
 * and has no clock: who owns it steps it until it is open, hurries it, and gives it up when the time is over. */
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

/* Begins; the texts of the target are copied. fn(loop, who) is called when a step may go on without an event of
 * o->stream. RC_MALFORMED: the path is none of a unix socket. */
enum rc outgoing_begin(struct outgoing *o, struct loop *loop, const struct outgoing_target *target,
                       void (*on_event)(struct io *io), lookup_fn *fn, double who);

/* RC_OK      it is open
 * RC_AGAIN   step again after the next event of the socket, or when fn is called
 * else       it failed, the reason is in why[size]: "refused", "unreachable: ...", "cannot resolve ...", "tls: ..." */
enum rc outgoing_step(struct outgoing *o, char *why, size_t size);

/* How many addresses could be tried beside those that are; 0 where none is being connected to. */
int outgoing_left(const struct outgoing *o);
/* What is being connected to takes too long: the next step tries one more address, if there is one. */
void outgoing_hurry(struct outgoing *o);

/* One datagram, of at most size bytes. RC_OK (*n may be 0), RC_AGAIN, RC_LIMIT (it was longer, and is lost), RC_REFUSED
 * (nobody listens there), RC_RESET (another error). */
enum rc outgoing_read_datagram(struct outgoing *o, char *at, size_t size, size_t *n);
/* RC_OK, RC_AGAIN, RC_LIMIT (longer than the network takes), RC_REFUSED, RC_RESET. */
enum rc outgoing_write_datagram(struct outgoing *o, struct slice bytes);

/* Closes the socket and gives all back but the struct itself, which must be buried (loop_bury). */
void outgoing_close(struct outgoing *o);
