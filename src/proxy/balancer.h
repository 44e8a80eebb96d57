#pragma once
/* balancer: picks a node. One cursor per service serves all loops, so that turns are fair whatever their number. */
#include "proxy/service.h"

enum { BALANCER_TURNS_MAX = 4096 };     /* length of a schedule; larger weights are scaled down to fit */

/* Lays out the turns of a smooth weighted round robin: heavier nodes come more often, evenly spread. schedule has room
 * for BALANCER_TURNS_MAX; gives its length. */
uint32_t balancer_schedule(const uint32_t *weights, uint32_t count, uint16_t *schedule);

/* The index of the next node that is not in `tried` (a bit per node index below 64), or -1 when all were. */
int balancer_pick(struct service *s, uint64_t tried);
