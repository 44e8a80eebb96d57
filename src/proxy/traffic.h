#pragma once
/* traffic: requests by route, service, node and status, with their times and bytes; and the metrics of plugins. Counted
 * per loop where the configuration has a metrics listener, summed by whoever reads. */
#include "base/labels.h"
#include "base/series.h"
#include "proxy/exchange.h"

enum { TRAFFIC_BUCKETS = 14, TRAFFIC_STATUSES = 64 };

/* Upper bounds of the buckets, in microseconds; the last one has none. */
extern const uint32_t traffic_bounds_us[TRAFFIC_BUCKETS - 1];

struct traffic {
    _Atomic uint64_t by_status[TRAFFIC_STATUSES];       /* see traffic_status */
    _Atomic uint64_t buckets[TRAFFIC_BUCKETS];
    _Atomic uint64_t time_us, bytes_in, bytes_out, failures;
};

/* Words: "route", name, service; or "node", service, address. */
extern struct labels traffic_labels;

uint32_t traffic_number(const char *kind, struct slice a, struct slice b);
/* The status of a place in by_status; 0: none was sent; -1: there is nothing at that place. */
int traffic_status(unsigned place);
/* A finished exchange. */
void traffic_count(struct exchange *x);

/* -- metrics that plugins make -- */

/* Words: kind, name, help, labels as they are shown. The values of all loops are summed. */
extern struct labels metric_labels;
struct metric { _Atomic double value; };
static inline struct metric *metric_at(struct series *s, uint32_t number)
{
    return series_at(s, number, sizeof(struct metric));
}
