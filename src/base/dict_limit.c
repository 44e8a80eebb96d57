#include "base/dict_limit.h"

#include <math.h>

#include "base/dict_store.h"

/* Differences of times are not exact: who comes back just when told shall not be refused for a millionth. */
#define SLACK 1e-6

/* -- token bucket -- */

struct bucket_take { const struct dict_bucket *bucket; double cost; struct dict_taken *out; };

static enum dict_answer take_tokens(struct entry *e, bool fresh, double now_s, double *expires_s, void *how)
{
    const struct bucket_take *t = how;
    double rate = t->bucket->rate, burst = t->bucket->burst, level = burst;
    if (!fresh) {
        now_s = fmax(now_s, e->state[LEVEL_AT]);        /* threads differ a little in their time */
        level = fmin(burst, e->state[LEVEL] + (now_s - e->state[LEVEL_AT]) * rate);
    }
    bool allowed = t->cost <= level + SLACK;
    double lacking = t->cost > burst ? INFINITY : t->cost - level;
    if (allowed)
        level = fmax(0, level - t->cost);
    e->state[LEVEL] = level;
    e->state[LEVEL_AT] = now_s;
    double reset_s = (burst - level) / rate;
    *expires_s = now_s + reset_s;
    *t->out = (struct dict_taken){ allowed, level, allowed ? 0 : lacking / rate, reset_s };
    return DICT_DONE;
}

enum dict_answer dict_bucket_take(struct dict *d, const struct dict_key *key, const struct dict_bucket *bucket,
                                  double cost, double now_s, struct dict_taken *out)
{
    struct bucket_take take = { bucket, cost, out };
    return store_change(d, key, DICT_BUCKET, now_s, take_tokens, &take);
}

/* -- windows -- */

struct window_take { const struct dict_window *window; double cost; struct dict_taken *out; };

/* Goes on to the window that now lies in. */
static void turn_window(struct entry *e, const struct dict_window *w, double now_s)
{
    double age_s = now_s - e->state[BEGAN];
    if (age_s + SLACK < w->window_s)
        return;
    bool next = w->sliding && age_s < 2 * w->window_s;
    e->state[TAKEN_BEFORE] = next ? e->state[TAKEN] : 0;
    e->state[TAKEN] = 0;
    e->state[BEGAN] = next ? e->state[BEGAN] + w->window_s : now_s;
}

/* Seconds until `room` may be taken, when that is not now and within the limit: the window before fades in this one,
 * and if that is not enough, this one in the next. */
static double wait_for(const struct entry *e, const struct dict_window *w, double room, double passed)
{
    double before = e->state[TAKEN_BEFORE], taken = e->state[TAKEN], most = w->limit - room;
    if (!w->sliding)
        return (1 - passed) * w->window_s;
    if (taken <= most)
        return (1 - (most - taken) / before - passed) * w->window_s;
    return (2 - most / taken - passed) * w->window_s;
}

static enum dict_answer take_share(struct entry *e, bool fresh, double now_s, double *expires_s, void *how)
{
    const struct window_take *t = how;
    const struct dict_window *w = t->window;
    if (fresh)
        e->state[BEGAN] = now_s;
    now_s = fmax(now_s, e->state[BEGAN]);
    turn_window(e, w, now_s);
    double passed = fmax(0, now_s - e->state[BEGAN]) / w->window_s;
    double used = e->state[TAKEN] + e->state[TAKEN_BEFORE] * (1 - passed);
    bool allowed = used + t->cost <= w->limit + SLACK;
    double retry_after_s = 0;
    if (allowed) {
        e->state[TAKEN] += t->cost;
        used += t->cost;
    } else {
        retry_after_s = t->cost > w->limit ? INFINITY : wait_for(e, w, t->cost, passed);
    }
    double end_s = e->state[BEGAN] + w->window_s * (w->sliding && e->state[TAKEN] > 0 ? 2 : 1);
    *expires_s = end_s;
    *t->out = (struct dict_taken){ allowed, fmax(0, w->limit - used), retry_after_s, end_s - now_s };
    return DICT_DONE;
}

enum dict_answer dict_window_take(struct dict *d, const struct dict_key *key, const struct dict_window *window,
                                  double cost, double now_s, struct dict_taken *out)
{
    struct window_take take = { window, cost, out };
    return store_change(d, key, DICT_WINDOW, now_s, take_share, &take);
}
