#pragma once
/* drain: nodes that no service in force names any more finish what they have in hand. Requests under way go on, also
 * tunnels; idle connections are closed, those that become idle as well, and nothing new is sent there as long as there
 * are others. Control thread. */
#include "proxy/service.h"

/* The service is about to come in force: its nodes are wanted, also those that were leaving. */
void drain_keep(const struct service *s);
/* No request begins with it any more. Its nodes that nobody else names leave: close_idle is called for each, which is
 * to close its idle connections in all loops. */
void drain_leave(const struct service *s, void (*close_idle)(struct node *n));

/* The index-th node that has left and still has something in hand; NULL: there are not so many. */
struct node_state *drain_look(int index);
