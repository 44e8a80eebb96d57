/* balancer: what it costs to choose a node, in nanoseconds of one thread that does nothing else: a pick and the end of
 * the request, with a hundred requests in hand. balancer [NODES...]: for so many nodes each (3, 100, 1000). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lua/api.h"
#include "proxy/balancer.h"
#include "proxy/generation.h"

enum { IN_HAND = 100, TURNS = 1000000 };

/* CPU time of this thread: neighbours take turns, not time. */
static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *built(void *at)
{
    if (!at)
        abort();
    return at;
}

static struct generation *make(enum balance algorithm, uint32_t nodes)
{
    struct tide_error e;
    int what, index;
    struct generation *g = built(tide_generation_new());
    struct service_settings *s = tide_generation_add_service(g);
    tide_generation_gateway(g)->id_header = SLICE_OF("x-request-id");
    s->name = SLICE_OF("app");
    s->balance = (int32_t)algorithm;
    s->load_percent = algorithm == BALANCE_CONSISTENT_HASH ? 125 : 0;
    for (uint32_t i = 0; i < nodes; i++) {
        char host[32];
        struct node_settings *n = tide_generation_add_node(g);
        int len = snprintf(host, sizeof host, "10.0.%u.%u", i / 250, i % 250);
        n->host = slice_make(tide_generation_text(g, host, (size_t)len), (size_t)len);
        n->port = 80;
        n->enabled = true;
        n->weight = 1 + i % 3;
    }
    if (tide_generation_finish(g, &e, &what, &index) < 0) {
        fprintf(stderr, "balancer: %s\n", e.text);
        exit(1);
    }
    generation_open(g, 1);
    return g;
}

static double measure(enum balance algorithm, uint32_t nodes)
{
    static struct pick held[IN_HAND];
    struct generation *g = make(algorithm, nodes);
    struct service *s = g->services[0]->newest;
    double began = 0;
    uint64_t key = 1;
    for (uint32_t i = 0; i < TURNS + TURNS / 10; i++) {
        struct pick *p = &held[i % IN_HAND];
        if (i == TURNS / 10)
            began = now_ns();         /* caches are warm, and lists are made */
        balancer_leave(p);
        key = key * 6364136223846793005u + 1442695040888963407u;
        *p = (struct pick){ .hash = key, .has_hash = true };
        if (!balancer_pick(p, s, 0, 1000 + i / 1000))
            abort();
        if (algorithm == BALANCE_LEAST_LATENCY)
            node_latency_note(p->node->state, 500 + key % 1000, 1000 + i / 1000);
    }
    double ns = (now_ns() - began) / TURNS;
    for (uint32_t i = 0; i < IN_HAND; i++)
        balancer_leave(&held[i]);
    generation_free(g);
    return ns;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; enum balance algorithm; } rows[] = {
        { "round_robin", BALANCE_ROUND_ROBIN },
        { "random", BALANCE_RANDOM },
        { "two_choices", BALANCE_TWO_CHOICES },
        { "least_connections", BALANCE_LEAST_CONNECTIONS },
        { "least_latency", BALANCE_LEAST_LATENCY },
        { "ip_hash", BALANCE_IP_HASH },
        { "consistent_hash", BALANCE_CONSISTENT_HASH },
    };
    static const char *usual[] = { "3", "100", "1000" };
    const char *const *sizes = argc > 1 ? (const char *const *)argv + 1 : usual;
    int size_count = argc > 1 ? argc - 1 : 3;
    printf("%-20s", "ns per request");
    for (int k = 0; k < size_count; k++)
        printf("%8s", sizes[k]);
    printf(" nodes\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        printf("%-20s", rows[i].name);
        for (int k = 0; k < size_count; k++)
            printf("%8.0f", measure(rows[i].algorithm, (uint32_t)strtoul(sizes[k], NULL, 10)));
        printf("\n");
    }
    return 0;
}
