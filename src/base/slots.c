#include "base/slots.h"

#include <stdlib.h>

static void grow(struct slots *s)
{
    uint32_t cap = s->cap ? 2 * s->cap : 64;
    struct slot *at = realloc(s->at, cap * sizeof *at);
    if (!at)
        abort();
    s->at = at;
    s->cap = cap;
}

double slots_add(struct slots *s, void *object)
{
    uint32_t place;
    if (s->first_free) {
        place = s->first_free - 1;
        s->first_free = s->at[place].next_free;
    } else {
        if (s->count == SLOTS_MAX)
            return 0;
        if (s->count == s->cap)
            grow(s);
        place = s->count++;
        s->at[place].turn = 0;
    }
    struct slot *slot = &s->at[place];
    slot->object = object;
    if (++slot->turn == 0)
        slot->turn = 1;
    return (double)((uint64_t)slot->turn << SLOT_BITS | place);
}

void slots_remove(struct slots *s, double number)
{
    if (!slots_get(s, number))
        return;
    uint32_t place = slot_place(number);
    s->at[place].object = NULL;
    s->at[place].next_free = s->first_free;
    s->first_free = place + 1;
}

void slots_free(struct slots *s)
{
    free(s->at);
    *s = (struct slots){ 0 };
}
