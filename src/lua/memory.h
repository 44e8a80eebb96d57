#pragma once
/* memory: what the Lua of a loop allocates. Small blocks, which is what a request costs, come from free lists by size
 * that need no more than a few instructions; the rest from LuaJIT's own allocator. All is counted, and bounded while a
 * plugin runs. */
#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { MEMORY_SMALL = 256, MEMORY_STEP = 16, MEMORY_POOL = 4 << 20 };

struct memory {
    struct memory_block *free[MEMORY_SMALL / MEMORY_STEP + 1];      /* by size, in steps */
    char *pool, *next;                  /* MEMORY_POOL bytes, and the first that was never used. pool NULL: none */
    lua_Alloc large;                    /* LuaJIT's own; NULL: not begun */
    void *large_owner;
    _Atomic size_t used;                /* bytes that Lua has. Any thread may look */
    size_t max;                         /* ... and may have while is_bounded; 0: no bound */
    bool is_bounded;
};

/* Takes over the allocations of a state, which has some already. m must live as long as the state. */
void memory_begin(struct memory *m, lua_State *L);
/* After lua_close. */
void memory_free(struct memory *m);
