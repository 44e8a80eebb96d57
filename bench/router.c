/* router: how long the compiled router looks for a route, and what its table takes. Prints one line of JSON.
 * usage: router [--core N] */
#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "http/request.h"
#include "proxy/router.h"

enum { QUERIES = 1 << 16, RUN = 256, TEXT_MAX = 128, TIMES = 5 };

struct table {
    struct router *router;
    struct router_route *routes;
    char *text;                         /* of hosts, then of paths, TEXT_MAX each */
    uint32_t hosts, count;
    double build_ms;
};

struct query { struct router_query q; char host[48], path[96]; };

static uint64_t state = 88172645463325252u;

/* xorshift64: the same numbers in every run. */
static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 11) % n;
}

static double now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void add(struct table *t, const char *host, const char *path, uint32_t i)
{
    struct regex_error e;
    t->routes[i] = (struct router_route){ .order = i };
    if (router_add(t->router, slice_text(host), slice_text(path), &t->routes[i], &e) != RC_OK) {
        fprintf(stderr, "router: %s: %s\n", path, e.text);
        exit(1);
    }
}

static void open_table(struct table *t, uint32_t hosts, uint32_t count)
{
    *t = (struct table){ .hosts = hosts, .count = count };
    t->routes = need(calloc(count, sizeof *t->routes));
    t->text = need(calloc((size_t)hosts + count, TEXT_MAX));
    t->router = router_new(NULL);
    for (uint32_t i = 0; i < hosts; i++)
        snprintf(t->text + (size_t)i * TEXT_MAX, TEXT_MAX, "shop-%u.customers.example.com", i);
}

static char *path_of(const struct table *t, uint32_t i) { return t->text + ((size_t)t->hosts + i) * TEXT_MAX; }

/* Routes of three kinds in turn: exact, prefix, parameters. */
static void fill(struct table *t, uint32_t hosts, uint32_t count)
{
    static const char *const kinds[] = { "/api/v1/service-%u/things", "/files/group-%u/*",
                                         "/users-%u/{user}/orders/{order}" };
    open_table(t, hosts, count);
    double began = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(path_of(t, i), TEXT_MAX, kinds[i % 3], i);
        add(t, t->text + (size_t)(i % hosts) * TEXT_MAX, path_of(t, i), i);
    }
    router_seal(t->router);
    t->build_ms = (now_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / 1e6;
}

static void finish(struct query *q)
{
    q->q = (struct router_query){ .host = slice_text(q->host), .path = slice_text(q->path), .method = METHOD_GET };
}

/* Requests for routes at random, each of which there is. */
static struct query *make_queries(const struct table *t)
{
    static const char *const kinds[] = { "/api/v1/service-%u/things", "/files/group-%u/a/b.txt",
                                         "/users-%u/4711/orders/17" };
    struct query *queries = need(calloc(QUERIES, sizeof *queries));
    for (uint32_t i = 0; i < QUERIES; i++) {
        uint32_t route = below(t->count);
        snprintf(queries[i].host, sizeof queries[i].host, "shop-%u.customers.example.com", route % t->hosts);
        snprintf(queries[i].path, sizeof queries[i].path, kinds[route % 3], route);
        finish(&queries[i]);
        struct router_answer answer;
        router_find(t->router, &queries[i].q, &answer);
        if (!answer.route || answer.route->order != route) {
            fprintf(stderr, "router: %s%s is not found\n", queries[i].host, queries[i].path);
            exit(1);
        }
    }
    return queries;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Nanoseconds of one look-up: the median of short runs, so that it is not another process that is measured. */
static double look_up(const struct table *t, const struct query *queries)
{
    static double took[TIMES * QUERIES / RUN];
    int runs = 0;
    for (int turn = 0; turn < TIMES; turn++) {
        for (uint32_t from = 0; from < QUERIES; from += RUN) {
            uint32_t found = 0;
            struct router_answer answer;
            double began = now_ns(CLOCK_MONOTONIC);
            for (uint32_t i = from; i < from + RUN; i++) {
                router_find(t->router, &queries[i].q, &answer);
                found += answer.route != NULL;
            }
            took[runs++] = (now_ns(CLOCK_MONOTONIC) - began) / RUN;
            assert(found == RUN);
        }
    }
    qsort(took, (size_t)runs, sizeof *took, compare);
    return took[runs / 2];
}

static void close_table(struct table *t)
{
    router_free(t->router);
    free(t->routes);
    free(t->text);
}

/* The slowest look-up among `count` regular expressions on one host, in microseconds: of each the best of some tries,
 * so that it is not another process that is measured. Every second request matches none. */
static double worst_among_patterns(uint32_t count)
{
    static const char *const kinds[] = { "~^/shop/item%u/\\d+$", "~^/u/(?:a|b)+/section-%u/(\\w+)",
                                         "~/download/[^/]+/part%u$", "~^/[a-z]+/v\\d+/thing%u\\.(?:json|xml)$" };
    static const char *const paths[] = { "/shop/item%u/17", "/u/abab/section-%u/x", "/download/some.file/part%u",
                                         "/api/v2/thing%u.json" };
    struct table t;
    struct query q;
    struct router_answer answer;
    double worst = 0;
    open_table(&t, 1, count);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(path_of(&t, i), TEXT_MAX, kinds[i % 4], i);
        add(&t, t.text, path_of(&t, i), i);
    }
    router_seal(t.router);
    for (uint32_t i = 0; i < 2 * count; i++) {
        double best = 1e18;
        snprintf(q.host, sizeof q.host, "%s", t.text);
        snprintf(q.path, sizeof q.path, paths[i % 4], i);
        finish(&q);
        for (int turn = 0; turn < TIMES; turn++) {
            double began = now_ns(CLOCK_MONOTONIC);
            router_find(t.router, &q.q, &answer);
            double took = (now_ns(CLOCK_MONOTONIC) - began) / 1e3;
            assert((answer.route != NULL) == (i < count));
            best = took < best ? took : best;
        }
        worst = best > worst ? best : worst;
    }
    close_table(&t);
    return worst;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--core") == 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(strtoul(argv[2], NULL, 10), &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0)
            perror("router: --core");
    }
    struct table few, many;
    fill(&few, 10, 100);
    fill(&many, 10000, 100000);
    struct query *for_few = make_queries(&few), *for_many = make_queries(&many);
    double few_ns = look_up(&few, for_few), many_ns = look_up(&many, for_many);
    printf("{\"few\":%.1f,\"many\":%.1f,\"bytes\":%.1f,\"build\":%.1f,\"patterns\":%.2f}\n", few_ns, many_ns,
           (double)router_memory(many.router) / many.count, many.build_ms, worst_among_patterns(1000));
    free(for_few);
    free(for_many);
    close_table(&few);
    close_table(&many);
    return 0;
}
