#include "proxy/drain.h"

#include "base/clock.h"
#include "base/log.h"

static struct link leaving = { &leaving, &leaving };    /* struct node_state.in_leaving, the first to leave first */

static void tell_loops(const struct service *s)
{
    atomic_fetch_add_explicit(&s->state->version, 1, memory_order_release);
}

void drain_keep(const struct service *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        s->nodes[i]->wanted++;
        s->nodes[i]->is_leaving = false;
        s->states[i]->wanted++;
        s->states[i]->is_leaving = false;
        link_remove(&s->states[i]->in_leaving);
    }
    tell_loops(s);
}

static void leave(struct node_state *n)
{
    n->is_leaving = true;
    n->left_ms = clock_wall_us() / 1000;
    list_append(&leaving, &n->in_leaving);
    log_info("drain", "node leaves", "service", log_slice(n->service->name), "node", n->text);
}

void drain_leave(const struct service *s, void (*close_idle)(struct node *n))
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct node *n = s->nodes[i];
        if (--n->wanted == 0) {
            n->is_leaving = true;       /* first: what becomes idle after close_idle has passed is not kept */
            close_idle(n);
        }
        if (--s->states[i]->wanted == 0)
            leave(s->states[i]);
    }
    tell_loops(s);
}

struct node_state *drain_look(int index)
{
    for (struct link *l = leaving.next; l != &leaving; l = l->next) {
        struct node_state *n = LINK_OWNER(l, struct node_state, in_leaving);
        if (atomic_load_explicit(&n->active, memory_order_relaxed) && index-- == 0)
            return n;
    }
    return NULL;
}
