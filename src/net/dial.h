#pragma once
/* dial: how a stream to somebody else begins. A loop may have a dialer of its own, which makes streams without sockets:
 * so specs stand in for the rest of the world (net/stream_memory.h). */
#include "net/addr.h"
#include "net/stream.h"

enum dial_for { DIAL_HTTP, DIAL_HTTPS, DIAL_SOCKET, DIAL_DATAGRAM };

struct dialer {
    /* As dial, without a socket. 0, EINPROGRESS or another errno. */
    int (*dial)(struct loop *loop, struct stream *s, const struct addr *to, enum dial_for what);
};

/* Begins to connect; *s stays where it is, and is not registered in the loop. 0: it is open. EINPROGRESS: dial_result
 * tells, once it is ready for anything. Else the errno, and there is no stream. */
int dial(struct loop *loop, struct stream *s, const struct addr *to, enum dial_for what);
/* What dial has said is no fault of who was to be reached: there are no more sockets here. */
bool dial_lacks_sockets(int why);
/* Puts a stream over a socket, that dial has made and that is still plain, into another struct. It is registered there;
 * no event comes for the old one any more. 0, or the errno: it is closed then. */
int dial_move(struct loop *loop, struct stream *from, struct stream *to);
/* 0, or the errno of a connection that came to nothing. */
int dial_result(const struct stream *s);
