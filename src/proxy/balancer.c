#include "proxy/balancer.h"

#include <stdlib.h>

static uint32_t common_divisor(uint32_t a, uint32_t b) { return b ? common_divisor(b, a % b) : a; }

uint32_t balancer_schedule(const uint32_t *weights, uint32_t count, uint16_t *schedule)
{
    uint64_t total = 0;
    uint32_t divisor = 0, turns = 0;
    if (count == 0 || count > BALANCER_TURNS_MAX)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    if (total == 0)
        return 0;
    int64_t *current = calloc(count, sizeof *current), *share = calloc(count, sizeof *share);
    if (!current || !share)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        divisor = common_divisor(weights[i], divisor);
    }
    for (uint32_t i = 0; i < count; i++) {
        share[i] = weights[i] / divisor;
        if (total / divisor > BALANCER_TURNS_MAX) {
            share[i] = (int64_t)((uint64_t)weights[i] * (BALANCER_TURNS_MAX - count) / total);
            share[i] += share[i] == 0;
        }
        turns += (uint32_t)share[i];
    }
    for (uint32_t t = 0; t < turns; t++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < count; i++) {
            current[i] += share[i];
            if (current[i] > current[best])
                best = i;
        }
        current[best] -= turns;
        schedule[t] = (uint16_t)best;
    }
    free(current);
    free(share);
    return turns;
}

int balancer_pick(struct service *s, uint64_t tried)
{
    if (s->schedule_len == 0)
        return -1;
    uint64_t turn = atomic_fetch_add_explicit(&s->state->cursor, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < s->schedule_len; i++) {
        uint16_t node = s->schedule[(turn + i) % s->schedule_len];
        if (node >= 64 || !(tried >> node & 1))
            return node;
    }
    return -1;
}
