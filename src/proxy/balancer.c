#include "proxy/balancer.h"

#include <stdlib.h>

#include "proxy/seats.h"

enum { LOAD_FREE = 8 };         /* requests in hand that each node may have whatever the bound */

/* -- turns -- */

static uint32_t common_divisor(uint32_t a, uint32_t b) { return b ? common_divisor(b, a % b) : a; }

uint32_t balancer_schedule(const uint32_t *weights, uint32_t count, uint16_t *schedule)
{
    uint64_t total = 0;
    uint32_t divisor = 0, turns = 0;
    if (count == 0 || count > BALANCER_TURNS_MAX)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    if (total == 0)
        return 0;
    int64_t *current = calloc(count, sizeof *current), *share = calloc(count, sizeof *share);
    if (!current || !share)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        divisor = common_divisor(weights[i], divisor);
    }
    for (uint32_t i = 0; i < count; i++) {
        share[i] = weights[i] / divisor;
        if (total / divisor > BALANCER_TURNS_MAX) {
            share[i] = (int64_t)((uint64_t)weights[i] * (BALANCER_TURNS_MAX - count) / total);
            share[i] += share[i] == 0;
        }
        turns += (uint32_t)share[i];
    }
    for (uint32_t t = 0; t < turns; t++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < count; i++) {
            current[i] += share[i];
            if (current[i] > current[best])
                best = i;
        }
        current[best] -= turns;
        schedule[t] = (uint16_t)best;
    }
    free(current);
    free(share);
    return turns;
}

/* The turns of the nodes that are backups, or of those that are not. */
static uint16_t *lay_out(const struct service *s, bool backups, struct arena *a, uint32_t *len)
{
    uint16_t turns[2 * BALANCER_TURNS_MAX];
    uint32_t weights[BALANCER_TURNS_MAX], n = 0;
    uint16_t indexes[BALANCER_TURNS_MAX];
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->backups[i] == backups) {
            weights[n] = s->weights[i];
            indexes[n++] = (uint16_t)i;
        }
    *len = balancer_schedule(weights, n, turns);
    uint16_t *schedule = arena_alloc(a, (*len + 1) * sizeof *schedule);
    for (uint32_t t = 0; t < *len; t++)
        schedule[t] = indexes[turns[t]];
    return schedule;
}

/* -- what is made once -- */

static struct ring *make_ring(const struct service *s, struct arena *a)
{
    struct slice *names = arena_alloc(a, (s->node_count + 1) * sizeof *names);
    uint32_t *weights = arena_alloc(a, (s->node_count + 1) * sizeof *weights);
    for (uint32_t i = 0; i < s->node_count; i++) {
        names[i] = slice_make(s->nodes[i]->text, s->nodes[i]->text_len);
        weights[i] = s->backups[i] ? 0 : s->weights[i];
    }
    return ring_new(a, names, weights, s->node_count);
}

void balancer_prepare(struct service *s, struct arena *a)
{
    s->order = ++s->state->order;
    s->schedule = lay_out(s, false, a, &s->schedule_len);
    s->spares = lay_out(s, true, a, &s->spare_count);
    s->states = arena_alloc(a, (s->node_count + 1) * sizeof(*s->states));
    for (uint32_t i = 0; i < s->node_count; i++)
        s->states[i] = s->nodes[i]->state;
    if (s->settings.balance == BALANCE_IP_HASH || s->settings.balance == BALANCE_CONSISTENT_HASH)
        s->ring = make_ring(s, a);
    s->is_watched = s->settings.passive.is_on || s->settings.balance == BALANCE_LEAST_LATENCY;
    if (s->settings.sticky_cookie.len)
        s->seats = seats_new(s, a);
    if (s->node_count == 1 && !s->settings.passive.is_on && !s->settings.active.is_on && !s->seats)
        s->only = s->nodes[0];
}

void balancer_open(struct service *s, uint32_t loops)
{
    s->loop_count = loops;
    s->choices = aligned_alloc(_Alignof(struct choices), loops * sizeof *s->choices);
    if (!s->choices)
        abort();
    memset(s->choices, 0, loops * sizeof *s->choices);
}

void balancer_close(struct service *s)
{
    for (uint32_t i = 0; i < s->loop_count; i++) {
        free(s->choices[i].nodes);
        free(s->choices[i].turns);
        free(s->choices[i].is_usable);
        free(s->choices[i].ramps);
    }
    free(s->choices);
}

/* -- a loop's choices -- */

static void make_room(const struct service *s, struct choices *c, uint32_t loop)
{
    uint32_t turns = s->schedule_len > s->spare_count ? s->schedule_len : s->spare_count;
    c->nodes = malloc((s->node_count + 1) * sizeof *c->nodes);
    c->turns = malloc((turns + 1) * sizeof *c->turns);
    c->is_usable = malloc(s->node_count + 1);
    c->ramps = malloc((s->node_count + 1) * sizeof *c->ramps);
    if (!c->nodes || !c->turns || !c->is_usable || !c->ramps)
        abort();
    c->random = clock_us() * 0x9e3779b97f4a7c15u + loop + 1;
}

enum need { NEED_STAY, NEED_HEALTH, NEED_NOTHING };

static bool is_fit(const struct node_state *n, enum need need)
{
    return need == NEED_NOTHING ||
           (health_is_good(&n->health) &&
            (need == NEED_HEALTH || !atomic_load_explicit(&n->is_leaving, memory_order_relaxed)));
}

static void take_usable(const struct service *s, struct choices *c, bool backups, enum need need)
{
    const uint16_t *schedule = backups ? s->spares : s->schedule;
    uint32_t len = backups ? s->spare_count : s->schedule_len;
    c->count = c->turn_count = 0;
    c->weight = 0;
    for (uint32_t i = 0; i < s->node_count; i++) {
        c->is_usable[i] = s->backups[i] == backups && is_fit(s->states[i], need);
        if (!c->is_usable[i])
            continue;
        c->nodes[c->count++] = (uint16_t)i;
        c->weight += s->weights[i];
    }
    for (uint32_t t = 0; t < len; t++)
        if (c->is_usable[schedule[t]])
            c->turns[c->turn_count++] = schedule[t];
}

static void find_ramps(const struct service *s, struct choices *c, uint64_t now_ms)
{
    c->ramp_count = 0;
    for (uint32_t i = 0; i < c->count && s->settings.slow_start_ms; i++)
        if (health_ramp(&s->states[c->nodes[i]]->health, s->settings.slow_start_ms, now_ms) < RAMP_WHOLE)
            c->ramps[c->ramp_count++] = c->nodes[i];
}

/* Backups count only where no other is usable, and nodes that leave only where none stays; and where none at all is
 * usable, it may be that we see it wrong. */
static void look(const struct service *s, struct choices *c, uint32_t version, uint64_t now_ms)
{
    enum need most = s->settings.fails_when_down ? NEED_HEALTH : NEED_NOTHING;
    c->count = 0;
    for (enum need need = NEED_STAY; !c->count && need <= most; need++) {
        take_usable(s, c, false, need);
        if (!c->count)
            take_usable(s, c, true, need);
    }
    find_ramps(s, c, now_ms);
    c->version = version;
}

/* -- algorithms: each gives the index of a node, or -1 where all are in tried -- */

static uint64_t next_random(struct choices *c)
{
    c->random ^= c->random << 13;       /* xorshift (Marsaglia) */
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

static bool is_in(uint64_t tried, uint16_t index) { return tried >> (index & 63) & 1; }

static int from_turn(const struct choices *c, uint64_t turn, uint64_t tried)
{
    uint32_t at = (uint32_t)(turn % c->turn_count);
    for (uint32_t i = 0; i < c->turn_count; i++) {
        uint16_t index = c->turns[at];
        if (!is_in(tried, index))
            return index;
        at = at + 1 < c->turn_count ? at + 1 : 0;
    }
    return -1;
}

static int by_turns(struct service *s, const struct choices *c, uint64_t tried)
{
    return from_turn(c, atomic_fetch_add_explicit(&s->state->cursor, 1, memory_order_relaxed), tried);
}

static int at_random(struct choices *c, uint64_t tried) { return from_turn(c, next_random(c) >> 32, tried); }

static double requests_of(const struct service *s, int index)
{
    return (double)(atomic_load_explicit(&s->states[index]->active, memory_order_relaxed) + 1) / s->weights[index];
}

/* A node of which nothing is known is tried once; until then it is taken for a slow one. */
static double latency_of(const struct service *s, int index, uint64_t now_ms)
{
    enum { UNKNOWN_US = 1000000 };
    double us = node_latency_of(s->states[index], now_ms);
    bool busy = atomic_load_explicit(&s->states[index]->active, memory_order_relaxed) > 0;
    return us > 0 ? us : busy ? UNKNOWN_US : 0;
}

/* Who looks at all nodes sends everybody to the same one before it is known to be busy; of two, the better is known to
 * be nearly as good (Mitzenmacher, The Power of Two Choices). */
static int better_of_two(struct service *s, struct choices *c, uint64_t tried, uint64_t now_ms)
{
    int one = at_random(c, tried);
    int other = one < 0 ? -1 : at_random(c, tried | 1ull << (one & 63));
    if (other < 0)
        return one;
    double cost_one = requests_of(s, one), cost_other = requests_of(s, other);
    if (s->settings.balance == BALANCE_LEAST_LATENCY) {
        cost_one *= latency_of(s, one, now_ms);
        cost_other *= latency_of(s, other, now_ms);
    }
    return cost_other < cost_one ? other : one;
}

/* Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam): a node has at most its share of all requests
 * in hand, and a bit. A few requests are no load: without LOAD_FREE, two at once would already be parted. */
static bool is_over_bound(const struct service *s, const struct choices *c, uint16_t index)
{
    uint64_t all = atomic_load_explicit(&s->state->active, memory_order_relaxed) + (uint64_t)1;
    uint64_t its = atomic_load_explicit(&s->states[index]->active, memory_order_relaxed);
    if (its < LOAD_FREE)
        return false;
    /* its + 1 > ceil(all * share * percent / 100), where share is weight / c->weight */
    return s->settings.load_percent && its * c->weight * 100 >= all * s->weights[index] * s->settings.load_percent;
}

static int by_hash(struct service *s, const struct choices *c, const struct pick *p)
{
    enum { POINTS_MAX = 256 };          /* then most nodes are not usable */
    int first = -1;
    uint32_t point = s->ring->count ? ring_find(s->ring, p->hash) : 0;
    for (uint32_t i = 0; i < s->ring->count && i < POINTS_MAX; i++, point = ring_next(s->ring, point)) {
        uint16_t index = s->ring->node[point];
        if (!c->is_usable[index] || is_in(p->tried, index))
            continue;
        if (!is_over_bound(s, c, index))
            return index;
        if (first < 0)
            first = index;
    }
    return first >= 0 ? first : from_turn(c, p->hash >> 32, p->tried);
}

static int choose(struct service *s, struct choices *c, const struct pick *p, uint64_t now_ms)
{
    if (!c->turn_count)
        return -1;
    switch ((enum balance)s->settings.balance) {
    case BALANCE_ROUND_ROBIN:
    case BALANCE_WEIGHTED_ROUND_ROBIN: return by_turns(s, c, p->tried);
    case BALANCE_RANDOM: return at_random(c, p->tried);
    case BALANCE_TWO_CHOICES:
    case BALANCE_LEAST_LATENCY: return better_of_two(s, c, p->tried, now_ms);
    case BALANCE_LEAST_CONNECTIONS: {
        struct least_choice l = { s->order, c->version, c->count, c->nodes, s->states, s->weights };
        return least_pick(&s->state->least, &l, p->tried);
    }
    case BALANCE_IP_HASH:
    case BALANCE_CONSISTENT_HASH: return p->has_hash ? by_hash(s, c, p) : by_turns(s, c, p->tried);
    }
    return -1;
}

/* Nodes that are to get less than their share now: each with a chance that sinks while it is back. As bits of tried. */
static uint64_t held_back(const struct service *s, struct choices *c, uint64_t now_ms)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < c->ramp_count;) {
        uint16_t index = c->ramps[i];
        uint32_t share = health_ramp(&s->states[index]->health, s->settings.slow_start_ms, now_ms);
        if (share >= RAMP_WHOLE) {
            c->ramps[i] = c->ramps[--c->ramp_count];
            continue;
        }
        if (next_random(c) % RAMP_WHOLE >= share)
            bits |= 1ull << (index & 63);
        i++;
    }
    return bits;
}

/* -- from outside -- */

static void count_in(struct service *s, uint32_t index)
{
    if (s->settings.balance == BALANCE_CONSISTENT_HASH)
        atomic_fetch_add_explicit(&s->state->active, 1, memory_order_relaxed);
    if (s->settings.balance == BALANCE_LEAST_CONNECTIONS)
        least_count(&s->state->least, s->states[index], 1);
    else
        atomic_fetch_add_explicit(&s->states[index]->active, 1, memory_order_relaxed);
}

/* What the loop may choose from now. */
static struct choices *choices_of(const struct service *s, uint32_t loop, uint64_t now_ms)
{
    struct choices *c = &s->choices[loop];
    uint32_t version = atomic_load_explicit(&s->state->version, memory_order_acquire);
    if (c->version != version) {
        if (!c->nodes)
            make_room(s, c, loop);
        look(s, c, version, now_ms);
    }
    return c;
}

static struct node *take(struct pick *p, struct service *s, uint32_t index)
{
    p->tried |= 1ull << (index & 63);
    p->service = s;
    p->node = s->nodes[index];
    return p->node;
}

/* For a request that has been at all others no other is usable: a backup that it has not been at; or -1. */
static int untried_backup(const struct service *s, uint64_t tried)
{
    uint64_t turn = atomic_load_explicit(&s->state->cursor, memory_order_relaxed);
    for (uint32_t i = 0; i < s->spare_count; i++) {
        uint16_t index = s->spares[(turn + i) % s->spare_count];
        if (!is_in(tried, index) && is_fit(s->states[index], NEED_STAY))
            return index;
    }
    return -1;
}

struct node *balancer_choose(struct pick *p, struct service *s, uint32_t loop, uint64_t now_ms)
{
    struct choices *c = choices_of(s, loop, now_ms);
    bool is_counted = s->settings.balance == BALANCE_LEAST_CONNECTIONS;         /* by least_pick */
    int index = -1;
    if (c->ramp_count) {
        struct pick careful = *p;
        careful.tried |= held_back(s, c, now_ms);
        index = choose(s, c, &careful, now_ms);
    }
    if (index < 0)
        index = choose(s, c, p, now_ms);
    if (index < 0 && p->tried) {
        index = untried_backup(s, p->tried);
        is_counted = is_counted && index < 0;
    }
    if (index < 0 && p->tried) {
        p->tried = 0;
        index = choose(s, c, p, now_ms);
    }
    if (index < 0)
        return NULL;
    if (!is_counted)
        count_in(s, (uint32_t)index);
    return take(p, s, (uint32_t)index);
}

struct node *balancer_take(struct pick *p, struct service *s, uint32_t index, uint32_t loop, uint64_t now_ms)
{
    balancer_leave(p);
    if (!choices_of(s, loop, now_ms)->is_usable[index] || is_in(p->tried, (uint16_t)index))
        return NULL;
    count_in(s, index);
    return take(p, s, index);
}

bool balancer_has_other(const struct pick *p, const struct service *s, uint32_t loop, uint64_t now_ms)
{
    if (s->only)
        return false;
    const struct choices *c = choices_of(s, loop, now_ms);
    for (uint32_t i = 0; i < c->count; i++)
        if (!is_in(p->tried, c->nodes[i]))
            return true;
    return false;
}

bool balancer_has_backup(const struct pick *p, const struct service *s)
{
    return !s->only && untried_backup(s, p->tried) >= 0;
}

/* What was counted is what the service in hand says, even where a newer generation counts otherwise. */
void balancer_uncount(const struct service *s, struct node *n)
{
    if (s->settings.balance == BALANCE_CONSISTENT_HASH)
        atomic_fetch_sub_explicit(&s->state->active, 1, memory_order_relaxed);
    if (s->settings.balance == BALANCE_LEAST_CONNECTIONS)
        least_count(&s->state->least, n->state, -1);
    else
        atomic_fetch_sub_explicit(&n->state->active, 1, memory_order_relaxed);
}
