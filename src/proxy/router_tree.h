#pragma once
/* router_tree: makes the tree of one host in the pool; private to the router. The pool may move whenever something is
 * added: nothing in it is held by pointer over such a call. */
#include "proxy/router_table.h"

struct draft {                      /* a pair, while the table is built */
    struct pair pair;
    struct path_shape shape;
    struct slice key;               /* the path so that bytes sort like segments, a prefix right after its stem */
    uint32_t rank;                  /* first: the place in which it was added */
    uint8_t host, path;             /* enum host_class, enum path_class */
};

/* The paths of a host in its tree, then its regular expressions, then its routes without a path. */
static inline int part_of(const struct draft *d)
{
    return d->path == PATH_REGEX ? 1 : d->path == PATH_ANY ? 2 : 0;
}

/* Lowest rank of some drafts. */
static inline uint32_t best_of(const struct draft *at, size_t count)
{
    uint32_t best = UINT32_MAX;
    for (size_t i = 0; i < count; i++)
        best = at[i].rank < best ? at[i].rank : best;
    return best;
}

/* Writes the key of a path, which is at most as long, and moves *to behind it. */
struct slice tree_key(struct slice path, char **to);
/* The tree of all drafts of a host, in the order of part_of, key and rank. name: what is written into it. */
uint32_t tree_add(struct router *r, const struct draft *at, size_t count, struct slice name);
/* After the last tree_add. */
void tree_settle(struct router *r);
