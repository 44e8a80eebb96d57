#pragma once
/* slots: numbered objects whose numbers go stale safely. A number is handed to code that may keep it longer than the
 * object lives (a plugin keeps its request in a table); once the object is removed the number finds nothing, also when
 * its place is used again. Numbers are doubles, because that is what Lua has: 20 bits of place, 32 bits of turn, exact
 * below 2^53. One thread only. */
#include <stdint.h>

struct slot { void *object; uint32_t turn, next_free; };

struct slots {                          /* all zero is the empty one */
    struct slot *at;
    uint32_t count, cap;
    uint32_t first_free;                /* 1 + place; 0: none */
};

enum { SLOT_BITS = 20, SLOTS_MAX = 1 << SLOT_BITS };

/* A number, never 0; 0 when SLOTS_MAX objects are in already. */
double slots_add(struct slots *s, void *object);
void slots_remove(struct slots *s, double number);
void slots_free(struct slots *s);

/* Of a number that was given out; signed, because that is one instruction. */
static inline uint32_t slot_place(double number) { return (uint32_t)((int64_t)number & (SLOTS_MAX - 1)); }

/* NULL when the object is gone, or there never was one. */
static inline void *slots_get(const struct slots *s, double number)
{
    if (!(number >= SLOTS_MAX && number < 9007199254740992.0))
        return 0;
    uint32_t place = slot_place(number);
    if (place >= s->count || s->at[place].turn != (uint32_t)((int64_t)number >> SLOT_BITS))
        return 0;
    return s->at[place].object;
}
