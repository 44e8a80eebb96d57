#pragma once
/* by_path: a route whose service is named by a segment of the path: "/users/7" goes to the service "users". Built once,
 * then immutable. */
#include "base/arena.h"
#include "proxy/split.h"

struct by_path {
    uint32_t segment;           /* from 1 */
    uint32_t cap;               /* of shares, a power of two */
    struct share *shares;       /* open addressing by name; without a service: free */
    struct slice *names;        /* of the shares, at the same places */
    const struct share *fallback;       /* where the segment is empty or missing; NULL: none */
};

/* count: how many services it will have. Lives in the arena. */
struct by_path *by_path_new(struct arena *a, uint32_t segment, uint32_t count);
/* The name must outlive it. */
struct share *by_path_add(struct by_path *l, struct service_slot *service, struct slice name, bool is_fallback);

/* The segment of a path in normal form; empty where it is missing. */
struct slice by_path_name(const struct by_path *l, struct slice path);
/* NULL where there is no such service. */
const struct share *by_path_find(const struct by_path *l, struct slice path);
