#include "proxy/node_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "proxy/generation.h"

enum { LATENCY_MEMORY_MS = 10000 };     /* how long until a measurement counts a third */

static struct map states;

struct node_state *node_state_get(struct service_state *s, struct slice key, const char *text)
{
    struct node_state *n = map_get(&states, key);
    if (!n) {
        char *copy = malloc(key.len + 1);
        n = aligned_alloc(_Alignof(struct node_state), sizeof *n);
        if (!n || !copy)
            abort();
        memset(n, 0, sizeof *n);
        memcpy(copy, key.at, key.len);
        n->key = slice_make(copy, key.len);
        snprintf(n->text, sizeof n->text, "%s", text);
        n->service = registry_service(s->name);
        n->supply = supply_new();
        map_put(&states, n->key, n);
    }
    n->refs++;
    return n;
}

void node_state_drop(struct node_state *n)
{
    if (--n->refs)
        return;
    map_remove(&states, n->key);
    link_remove(&n->in_leaving);
    if (states.count == 0)
        map_free(&states);
    health_forget(n);
    least_remove(&n->service->least, n);
    registry_service_drop(n->service);
    supply_drop(n->supply);
    free((char *)(uintptr_t)n->key.at);
    free(n);
}

/* -- time to the first byte: a float of microseconds, and the milliseconds of a clock that wraps -- */

struct latency { float us; uint32_t at_ms; };

static struct latency unpack(uint64_t bits)
{
    struct latency l;
    memcpy(&l, &bits, sizeof l);
    return l;
}

static float faded(struct latency l, uint64_t now_ms, float *share)
{
    int32_t age = (int32_t)((uint32_t)now_ms - l.at_ms);
    *share = expf(-(float)(age > 0 ? age : 0) / LATENCY_MEMORY_MS);
    return l.us * *share;
}

/* Two loops at once: one of the measurements is lost. */
void node_latency_note(struct node_state *n, uint64_t us, uint64_t now_ms)
{
    struct latency old = unpack(atomic_load_explicit(&n->latency, memory_order_relaxed));
    struct latency new = { (float)us, (uint32_t)now_ms };
    float share, was = faded(old, now_ms, &share);
    if (was > new.us)
        new.us = was * 0.9f + new.us * 0.1f;
    uint64_t bits;
    memcpy(&bits, &new, sizeof bits);
    atomic_store_explicit(&n->latency, bits, memory_order_relaxed);
}

double node_latency_of(const struct node_state *n, uint64_t now_ms)
{
    float share;
    return faded(unpack(atomic_load_explicit(&n->latency, memory_order_relaxed)), now_ms, &share);
}
