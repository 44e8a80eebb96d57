#pragma once
/* seats: sticky sessions. A client stays with the node that answered it first, as a cookie says. The cookie holds a
 * keyed hash of the node's address: it tells nobody where the node is, and cannot be made up. A node that is gone or
 * not usable is chosen anew, and the cookie set again. */
#include "proxy/exchange.h"

struct seats;

/* Control thread: the tokens of the service's nodes, in the arena. Without a secret of its own the service uses one of
 * this process: cookies are good until it ends. */
struct seats *seats_new(const struct service *s, struct arena *a);
/* The node that the request's cookie names, in hand, if it can be used; NULL: there is none. */
struct node *seats_pick(struct exchange *x);
/* The response sets the cookie, where the client does not come with this node's already. */
void seats_set_cookie(struct exchange *x);
