#include "proxy/node.h"

#include <stdio.h>
#include <stdlib.h>

struct node *node_new(struct slice key, const struct addr *addr)
{
    struct node *n = calloc(1, sizeof *n);
    char *copy = malloc(key.len + 1);
    if (!n || !copy)
        abort();
    memcpy(copy, key.at, key.len);
    n->key = slice_make(copy, key.len);
    n->addr = *addr;
    n->text_len = addr_print(addr, n->text);
    return n;
}

void node_open_pools(struct node *n, uint32_t loops)
{
    if (n->pools)
        return;
    n->pool_count = loops;
    n->pools = calloc(loops, sizeof *n->pools);
    if (!n->pools)
        abort();
    for (uint32_t i = 0; i < loops; i++)
        pool_init(&n->pools[i]);
}

void node_set_host(struct node *n, struct slice host, uint16_t port, uint16_t usual)
{
    bool v6 = memchr(host.at, ':', host.len) != NULL;
    snprintf(n->host, sizeof n->host, "%.*s", (int)host.len, host.at);
    if (port == usual)
        snprintf(n->host_port, sizeof n->host_port, v6 ? "[%s]" : "%s", n->host);
    else
        snprintf(n->host_port, sizeof n->host_port, v6 ? "[%s]:%u" : "%s:%u", n->host, port);
}

void node_free(struct node *n)
{
    tls_context_drop(n->tls);
    if (n->supply)
        supply_drop(n->supply);
    free((char *)(uintptr_t)n->key.at);
    free(n->pools);
    free(n);
}
