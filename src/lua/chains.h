#pragma once
/* chains: plugin chains of the exchange, run as coroutines of the loop's Lua. */
#include "lua/coroutine.h"
#include "proxy/hooks.h"

extern const struct hooks chains;

/* The exchange of a number that Lua holds, or NULL when it is over. Most ask about the one whose chain runs. */
static inline struct exchange *chains_exchange(double number)
{
    struct vm *vm = vm_here();
    if (!vm)
        return NULL;
    const struct coroutine *co = vm->current;
    return co && co->x && co->x->number == number ? co->x : slots_get(&vm->requests, number);
}
