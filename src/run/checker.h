#pragma once
/* checker: the gateway's own checks of its nodes, one after the other for each node whatever the number of loops; and
 * the end of ejections, when their time comes. Control thread. */
#include "proxy/generation.h"

struct checker;

struct checker *checker_new(struct loop *loop);
/* g is about to be published, and stays until another one takes its place here: its nodes are checked from now on. What
 * was known of them is kept. */
void checker_use(struct checker *c, struct generation *g);
/* A service of that generation has other nodes: s counts instead of old, which may go after this. */
void checker_renew(struct checker *c, const struct service *old, const struct service *s);
/* No check is made any more, and none is under way. */
void checker_stop(struct checker *c);
/* After the loop, which may hold connections that are closed already. */
void checker_free(struct checker *c);
