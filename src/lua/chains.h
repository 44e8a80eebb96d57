#pragma once
/* chains: plugin chains of the exchange, run as coroutines of the loop's Lua. */
#include "lua/coroutine.h"
#include "proxy/hooks.h"

extern const struct hooks chains;

struct exchange *chains_other(double number);          /* private: the slow path of chains_exchange */

/* Private: that whose chain runs, which most ask about; NULL where the number is another's. */
static inline struct exchange *chains_in_hand(double number)
{
    const struct vm *vm = vm_here();
    const struct coroutine *co = vm ? vm->current : NULL;
    return co && co->x && co->x->number == number ? co->x : NULL;
}

/* The exchange of a number that Lua holds, or NULL when it is over. */
static inline struct exchange *chains_exchange(double number)
{
    struct exchange *x = chains_in_hand(number);
    return x ? x : chains_other(number);
}
