#pragma once
/* adhoc: nodes that no configuration names, because a plugin has the URL of one. Each loop has its own: one per
 * address, name and manner of TLS, each with a pool; the one used longest ago makes way where there are too many.
 * A struct adhoc is one request's way to such a node: addresses of the name, TLS context, then a node. The first two
 * may have to be waited for; addresses are tried in their order, those that failed lately last. */
#include "proxy/plane.h"

enum { ADHOC_NODES_MAX = 256 };

struct adhoc_target {           /* texts live as long as the adhoc */
    bool is_tls, verify;
    uint16_t port;
    struct slice host;          /* a name, or an IP address without brackets */
    struct slice ca;            /* PEM file; empty: the system's */
    struct slice server_name;   /* sent and verified; empty: host */
};

struct adhoc;

/* It lies in the arena, and is given back by adhoc_drop. wake is put on the loop's ready list when a wait is over. */
struct adhoc *adhoc_new(struct plane *p, const struct adhoc_target *t, struct arena *a, struct task *wake);
/* A node to send to; the next time another one, as far as there are some. A service that speaks TLS decides how, in
 * place of the target; NULL: none. The node is there until the next call or adhoc_drop.
 * RC_OK; RC_AGAIN: when wake runs, ask again; RC_UNREACHABLE, RC_UPSTREAM_TLS: adhoc_why tells. */
enum rc adhoc_pick(struct adhoc *a, const struct service *s, struct node **out);
/* Whether there is an address that was not tried in this round. */
bool adhoc_has_more(const struct adhoc *a);
/* While a node is being tried: another one beside it, which there is (adhoc_has_more). Either goes by itself: the
 * second is dropped, or takes the place of the first. */
struct node *adhoc_pick_second(struct adhoc *a);
void adhoc_drop_second(struct adhoc *a);
void adhoc_take_second(struct adhoc *a);
/* A node in hand cannot be reached: for a while its address comes after the others of a name. */
void adhoc_blame(struct adhoc *a, const struct node *n);
const char *adhoc_why(const struct adhoc *a);
void adhoc_drop(struct adhoc *a);

/* The service that stands for none: the defaults of the configuration, and no name. */
struct service *adhoc_service(void);
/* The loop ends: closes what is idle, and what will be. */
void adhoc_close(struct plane *p);
