#pragma once
/* chains: plugin chains of the exchange, run as coroutines of the loop's Lua. */
#include "lua/coroutine.h"
#include "proxy/hooks.h"

extern const struct hooks chains;

/* The exchange of a number that Lua holds, or NULL when it is over. */
static inline struct exchange *chains_exchange(double number)
{
    struct vm *vm = vm_here();
    return vm ? slots_get(&vm->requests, number) : NULL;
}
