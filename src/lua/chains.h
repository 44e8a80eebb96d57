#pragma once
/* chains: plugin chains of the exchange, run as coroutines of the loop's Lua. */
#include "lua/coroutine.h"
#include "proxy/hooks.h"

extern const struct hooks chains;

struct exchange *chains_other(double number);          /* private: the slow path of chains_exchange */

/* The exchange of a number that Lua holds, or NULL when it is over. Most ask about the one whose chain runs. */
static inline struct exchange *chains_exchange(double number)
{
    const struct vm *vm = vm_here();
    const struct coroutine *co = vm ? vm->current : NULL;
    return co && co->x && co->x->number == number ? co->x : chains_other(number);
}
