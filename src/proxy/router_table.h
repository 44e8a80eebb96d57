#pragma once
/* router_table: what router_build.c makes and router.c searches; private to the router.
 *
 * All that a search touches of one host lies together in the pool: the tree of path segments, the text of its segments,
 * the entries of the routes. So a look-up among very many hosts is a miss for the host's slot and a few neighbouring
 * lines, whatever the number of routes. Things in the pool are known by their offset in units of 8 bytes; 0: none. */
#include "base/map.h"
#include "base/regex_set.h"
#include "proxy/router.h"

enum { POOL_UNIT = 8 };

enum {
    ENTRY_LAST = 1, ENTRY_LISTENERS = 2, ENTRY_CONDITIONS = 4, ENTRY_OTHER_METHODS = 8,
    ENTRY_PARAMETERS = 16,          /* they are read off the pattern again, which lies elsewhere */
    ENTRY_NAMES = 32,               /* from here on: 1 + number of the names of the parameters; 0: none, or no room */
    NAMES_MAX = 255,
};

/* What the parameters of a path are called. Most paths share them with others. */
struct names { uint32_t count; struct slice at[ROUTE_PARAMS_MAX]; };

struct entry {                      /* one pair; those of a place stand in the order of ranks */
    const struct router_route *route;
    uint32_t rank;
    uint16_t methods;               /* bit per enum method */
    uint16_t flags;
};

struct node {                       /* a place below a host */
    uint32_t exact, below;          /* entries that end here; that cover this and all below */
    uint32_t parameter;             /* the node of any one segment */
    uint32_t children;
    uint32_t best;                  /* lowest rank of what can be found here and below */
    uint16_t len;
    char text[];                    /* of the segment that leads here */
};

struct edge { uint32_t hash, node; };

struct children {
    uint32_t count, mask;           /* mask: of a hash table of edges; 0: `count` of them in a row */
    struct edge edges[];
};

struct tree {                       /* of a host */
    uint32_t root;
    uint32_t any;                   /* entries without a path */
    uint32_t patterns;              /* 1 + number of its set of regular expressions for paths; their value: entries */
    uint32_t len;
    char name[];                    /* of an exact host, or of a wildcard without its star */
};

struct slot { uint32_t hash, tree, best, units; };      /* of a host; tree 0: free; units: of all that belongs to it */

struct pair { const struct router_route *route; struct slice host, path; };

struct router {
    router_holds_fn *holds;
    char *pool;
    struct slot *slots;             /* open addressing */
    uint32_t slot_mask;             /* 0: there are none */
    uint32_t any_tree, any_best;    /* of the routes without a host */
    uint64_t wildcard_dots;         /* bit per number of dots, modulo 64, that a wildcard has */
    struct regex_set *hosts;        /* regular expressions; their value: a tree. NULL: none */
    struct regex_set **sets;
    struct pair *pairs;             /* by rank, after router_seal */
    struct map host_patterns, path_patterns;    /* text to struct regex */
    struct names *names;
    size_t pool_bytes, pool_cap;
    uint32_t count, set_count, names_count;
    uint64_t seed;
};

static inline uint64_t route_word(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return word;
}

static inline uint64_t route_mix(uint64_t h, uint64_t word)
{
    __extension__ unsigned __int128 product = (unsigned __int128)(h ^ word) * 0xe7037ed1a0b428dbu;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The hash of a host or a segment. Most are short, and a look-up makes several: no loop and no call for these. */
static inline uint32_t route_hash(const struct router *r, struct slice s)
{
    uint64_t h = r->seed ^ s.len;
    if (s.len >= 8) {
        for (size_t i = 0; i + 8 < s.len; i += 8)
            h = route_mix(h, route_word(s.at + i, 8));
        h = route_mix(h, route_word(s.at + s.len - 8, 8));
    } else if (s.len >= 4) {
        h = route_mix(h, route_word(s.at, 4) | route_word(s.at + s.len - 4, 4) << 32);
    } else if (s.len) {
        h = route_mix(h, (uint8_t)s.at[0] | (uint64_t)(uint8_t)s.at[s.len / 2] << 8 |
                             (uint64_t)(uint8_t)s.at[s.len - 1] << 16);
    }
    return (uint32_t)(h ^ h >> 32);
}

static inline void *pool_at(const struct router *r, uint32_t offset) { return r->pool + (size_t)offset * POOL_UNIT; }

static inline const struct regex *pattern_of(const struct map *m, struct slice text)
{
    return text.len && text.at[0] == '~' ? map_get(m, text) : NULL;
}
