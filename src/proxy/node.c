#include "proxy/node.h"

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

void node_free(struct node *n)
{
    free((char *)(uintptr_t)n->key.at);
    free(n->pools);
    free(n);
}
