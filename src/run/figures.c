/* figures: the calls of api.h that read what the loops have counted, summed over all of them. Control thread. */
#include "base/ticks.h"
#include "lua/api.h"
#include "proxy/traffic.h"
#include "run/control.h"
#include "run/loop_thread.h"

static double load(const _Atomic uint64_t *n) { return (double)atomic_load_explicit(n, memory_order_relaxed); }

static const char *word(const struct label *l, int i) { return l->words[i].at; }

bool tide_hook_read(int number, struct tide_hook_totals *totals, const char **plugin, const char **instance,
                    const char **hook, const char **route)
{
    uint32_t loops;
    struct loop_thread *all = control_loops(&loops);
    struct label l;
    *totals = (struct tide_hook_totals){ 0 };
    if (number < 0 || !labels_get(&hook_labels, (uint32_t)number, &l))
        return false;
    for (uint32_t i = 0; i < loops; i++) {
        const struct hook_stat *h = series_look(&all[i].plane.hook_stats, (uint32_t)number, sizeof *h);
        if (!h)
            continue;
        totals->calls += load(&h->calls);
        totals->cpu += ticks_to_ns(load(&h->cpu_ticks)) / 1e9;
        totals->wait += ticks_to_ns(load(&h->wait_ticks)) / 1e9;
        totals->errors += load(&h->errors);
        totals->answers += load(&h->answers);
    }
    *plugin = word(&l, HOOK_PLUGIN);
    *instance = word(&l, HOOK_INSTANCE);
    *hook = word(&l, HOOK_NAME);
    *route = word(&l, HOOK_ROUTE);
    return true;
}

int tide_traffic_count(void)
{
    uint32_t n = labels_count(&traffic_labels);
    return n ? (int)n : 1;              /* number 0, of what has no route, is always there */
}

double tide_traffic_bound(int bucket)
{
    return bucket < TRAFFIC_BUCKETS - 1 ? traffic_bounds_us[bucket] / 1e6 : -1;
}

int tide_traffic_status(int place) { return traffic_status((unsigned)place); }

static void add_traffic(struct tide_traffic *sum, const struct traffic *t)
{
    for (int i = 0; i < TRAFFIC_STATUSES; i++)
        sum->by_status[i] += load(&t->by_status[i]);
    for (int i = 0; i < TRAFFIC_BUCKETS; i++)
        sum->buckets[i] += load(&t->buckets[i]);
    sum->time += load(&t->time_us) / 1e6;
    sum->bytes_in += load(&t->bytes_in);
    sum->bytes_out += load(&t->bytes_out);
    sum->failures += load(&t->failures);
}

bool tide_traffic_read(int number, struct tide_traffic *sum, const char **kind, const char **a, const char **b)
{
    uint32_t loops;
    struct loop_thread *all = control_loops(&loops);
    struct label l = { { SLICE_OF("route"), SLICE_OF(""), SLICE_OF("") } };
    bool any = false;
    *sum = (struct tide_traffic){ 0 };
    if (number && !labels_get(&traffic_labels, (uint32_t)number, &l))
        return false;
    for (uint32_t i = 0; i < loops; i++) {
        const struct traffic *t = series_look(&all[i].plane.traffic, (uint32_t)number, sizeof *t);
        any |= t != NULL;
        if (t)
            add_traffic(sum, t);
    }
    *kind = word(&l, 0);
    *a = word(&l, 1);
    *b = word(&l, 2);
    return any;
}

int tide_metric_count(void) { return (int)labels_count(&metric_labels); }

bool tide_metric_read(int number, double *value, const char **kind, const char **name, const char **help,
                      const char **labels)
{
    uint32_t loops;
    struct loop_thread *all = control_loops(&loops);
    struct label l;
    if (number < 0 || !labels_get(&metric_labels, (uint32_t)number, &l))
        return false;
    *value = 0;
    for (uint32_t i = 0; i < loops; i++) {
        const struct metric *m = series_look(&all[i].plane.metrics, (uint32_t)number, sizeof *m);
        if (m)
            *value += atomic_load_explicit(&m->value, memory_order_relaxed);
    }
    *kind = word(&l, 0);
    *name = word(&l, 1);
    *help = word(&l, 2);
    *labels = word(&l, 3);
    return true;
}
