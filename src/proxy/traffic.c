#include "proxy/traffic.h"

struct labels hook_labels = LABELS_EMPTY(SERIES_MAX);
struct labels traffic_labels = LABELS_EMPTY(SERIES_MAX);
struct labels metric_labels = LABELS_EMPTY(SERIES_MAX);

const uint32_t traffic_bounds_us[TRAFFIC_BUCKETS - 1] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000,
};

/* Every status of RFC 9110 and its kin that is in use has a place; others share that of their class. */
static const uint16_t statuses[TRAFFIC_STATUSES] = {
    0,   100, 101, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308,
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423,
    424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
};

int traffic_status(unsigned place)
{
    if (place == 0)
        return 0;
    return place < TRAFFIC_STATUSES && statuses[place] ? statuses[place] : -1;
}

static unsigned place_of(int status)
{
    unsigned class_place = 0;
    for (unsigned i = 1; i < TRAFFIC_STATUSES && statuses[i]; i++) {
        if (statuses[i] == status)
            return i;
        if (statuses[i] == status / 100 * 100)
            class_place = i;
    }
    return class_place;
}

uint32_t traffic_number(const char *kind, struct slice a, struct slice b)
{
    struct label l = { { slice_text(kind), a, b, SLICE_NONE } };
    return labels_number(&traffic_labels, &l);
}

static void add(_Atomic uint64_t *n, uint64_t more)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
}

static void count_one(struct series *s, uint32_t number, const struct exchange *x, unsigned place, uint64_t us)
{
    struct traffic *t = series_at(s, number, sizeof *t);
    unsigned bucket = 0;
    while (bucket < TRAFFIC_BUCKETS - 1 && us > traffic_bounds_us[bucket])
        bucket++;
    add(&t->by_status[place], 1);
    add(&t->buckets[bucket], 1);
    add(&t->time_us, us);
    add(&t->bytes_in, x->req.bytes_in);
    add(&t->bytes_out, x->req.bytes_out);
    add(&t->failures, x->failure != RC_OK);
}

void traffic_count(struct exchange *x)
{
    struct series *s = &x->plane->traffic;
    uint64_t now = clock_us();
    unsigned place = x->head_sent ? place_of(x->res.status) : 0;
    count_one(s, x->share ? x->share->traffic : x->route ? x->route->traffic : 0, x, place, now - x->req.started_us);
    if (x->node && !x->node->is_adhoc)
        count_one(s, x->node->traffic, x, x->source == SOURCE_UPSTREAM ? place : 0,
                  (x->first_byte_us ? x->first_byte_us : now) - x->req.started_us);
}
