#include "proxy/least.h"

#include <stdlib.h>

static uint64_t load_of(const struct node_state *n)
{
    return (atomic_load_explicit(&n->active, memory_order_relaxed) + (uint64_t)1) * n->unit;
}

static bool comes_before(const struct least_entry *a, const struct least_entry *b)
{
    return a->load != b->load ? a->load < b->load : a->turn < b->turn;
}

static void put(struct least *l, uint32_t at, struct least_entry e)
{
    l->heap[at] = e;
    e.node->place = at + 1;
}

static void sift_up(struct least *l, uint32_t at)
{
    struct least_entry e = l->heap[at];
    while (at && comes_before(&e, &l->heap[(at - 1) / 2])) {
        put(l, at, l->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(l, at, e);
}

static void sift_down(struct least *l, uint32_t at)
{
    struct least_entry e = l->heap[at];
    for (uint32_t child; (child = 2 * at + 1) < l->count; at = child) {
        if (child + 1 < l->count && comes_before(&l->heap[child + 1], &l->heap[child]))
            child++;
        if (!comes_before(&l->heap[child], &e))
            break;
        put(l, at, l->heap[child]);
    }
    put(l, at, e);
}

static void settle(struct least *l, uint32_t at)
{
    l->heap[at].load = load_of(l->heap[at].node);
    if (at && comes_before(&l->heap[at], &l->heap[(at - 1) / 2]))
        sift_up(l, at);
    else
        sift_down(l, at);
}

/* -- filling -- */

static void fill(struct least *l, const struct least_choice *c)
{
    for (uint32_t i = 0; i < l->count; i++)
        l->heap[i].node->place = 0;
    if (l->cap < c->count) {
        l->heap = realloc(l->heap, c->count * sizeof *l->heap);
        if (!l->heap)
            abort();
        l->cap = c->count;
    }
    l->count = 0;
    l->order = c->order;
    l->version = c->version;
    for (uint32_t i = 0; i < c->count; i++) {
        uint16_t index = c->indexes[i];
        struct node_state *n = c->states[index];
        if (n->place)
            continue;                   /* an address that is there twice */
        n->unit = ((uint64_t)1 << 32) / c->weights[index];
        put(l, l->count++, (struct least_entry){ load_of(n), 0, n, index });
    }
    for (uint32_t i = l->count / 2; i-- > 0;)
        sift_down(l, i);
}

/* -- from outside -- */

static bool is_avoided(uint64_t avoid, uint16_t index) { return avoid >> (index & 63) & 1; }

static int choose(const struct least *l, uint64_t avoid)
{
    int best = -1;
    if (l->count && !is_avoided(avoid, l->heap[0].index))
        return 0;
    for (uint32_t i = 0; i < l->count; i++)
        if (!is_avoided(avoid, l->heap[i].index) && (best < 0 || comes_before(&l->heap[i], &l->heap[best])))
            best = (int)i;
    return best;
}

/* A request of an old generation must not take nodes that only the new one has. */
static int choose_among(const struct least_choice *c, uint64_t avoid)
{
    int best = -1;
    uint64_t least = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        uint16_t index = c->indexes[i];
        uint64_t load = ((uint64_t)atomic_load_explicit(&c->states[index]->active, memory_order_relaxed) + 1) *
                        (((uint64_t)1 << 32) / c->weights[index]);
        if (!is_avoided(avoid, index) && (best < 0 || load < least)) {
            best = index;
            least = load;
        }
    }
    return best;
}

static void count_locked(struct least *l, struct node_state *n, int change)
{
    atomic_fetch_add_explicit(&n->active, (uint32_t)change, memory_order_relaxed);
    if (n->place)
        settle(l, n->place - 1);
}

int least_pick(struct least *l, const struct least_choice *c, uint64_t avoid)
{
    int index;
    lock_take(&l->lock);
    if (c->order > l->order || (c->order == l->order && (int32_t)(c->version - l->version) > 0))
        fill(l, c);
    if (c->order < l->order) {
        index = choose_among(c, avoid);
        if (index >= 0)
            count_locked(l, c->states[index], 1);
    } else {
        int at = choose(l, avoid);
        index = at < 0 ? -1 : l->heap[at].index;
        if (at >= 0) {
            l->heap[at].turn = ++l->turn;
            count_locked(l, l->heap[at].node, 1);
        }
    }
    lock_leave(&l->lock);
    return index;
}

void least_count(struct least *l, struct node_state *n, int change)
{
    lock_take(&l->lock);
    count_locked(l, n, change);
    lock_leave(&l->lock);
}

void least_remove(struct least *l, struct node_state *n)
{
    lock_take(&l->lock);
    if (n->place) {
        uint32_t at = n->place - 1;
        struct least_entry last = l->heap[--l->count];
        n->place = 0;
        if (last.node != n) {
            put(l, at, last);
            settle(l, at);
        }
    }
    lock_leave(&l->lock);
}

void least_free(struct least *l) { free(l->heap); }
