#include "proxy/plane.h"

#include <sys/random.h>
#include <unistd.h>

#include "proxy/adhoc.h"
#include "proxy/exchange.h"
#include "proxy/websocket.h"

enum { LOG_RING = 1 << 20 };

void plane_open(struct plane *p, uint32_t index)
{
    uint64_t random[2];
    *p = (struct plane){ .index = index };
    p->loop = loop_new(p);
    fronts_init(&p->fronts, p->loop, &exchange_events);
    freelist_init(&p->ups, sizeof(struct up), 32);
    freelist_init(&p->exchanges, sizeof(struct exchange), 8);
    freelist_init(&p->tickets, sizeof(struct ticket), 32);
    queue_init(&p->log, LOG_RING);
    list_init(&p->websockets);
    if (getrandom(random, sizeof random, 0) != sizeof random)
        random[0] = random[1] = clock_us() ^ (uint64_t)getpid() << 32;
    p->random.state = random[1];
    memset(p->id_next, '0', sizeof p->id_next);
    for (int i = 0; i < 16; i++)
        p->id_next[i] = "0123456789abcdef"[random[0] >> (4 * i) & 15];
}

void plane_close_pools(struct plane *p)
{
    for (uint32_t i = 0; p->generation && i < p->generation->service_count; i++) {
        const struct service *s = p->generation->services[i]->now[p->index];
        for (uint32_t k = 0; k < s->node_count; k++)
            pool_close(&s->nodes[k]->pools[p->index]);
    }
    adhoc_close(p);
}

void plane_close(struct plane *p)
{
    loop_free(p->loop);
    fronts_free(&p->fronts);
    freelist_free(&p->ups);
    freelist_free(&p->exchanges);
    freelist_free(&p->tickets);
    pipes_free(&p->pipes);
    ws_shared_free(&p->ws_shared);
    recent_free(&p->recent);
    series_free(&p->hook_stats);
    series_free(&p->traffic);
    series_free(&p->metrics);
}

void plane_swap(struct plane *p, struct generation *g)
{
    struct generation *old = p->generation;
    p->generation = g;
    recent_switch(&p->recent, g->gateway.recent_requests);
    p->fronts.idle_ms = g->gateway.timeouts.idle_ms;
    p->fronts.head_ms = g->gateway.timeouts.head_ms;
    p->fronts.requests_per_connection = g->gateway.limits.requests_per_connection;
    websockets_review(p, g);
    if (old && old->users[p->index].count == 0)
        plane_forget(p, old);
}

void plane_forget(struct plane *p, struct generation *g)
{
    if (g->users[p->index].plugins)
        p->hooks->retire(p, g);
    generation_drop(g);
}
