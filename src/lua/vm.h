#pragma once
/* vm: Lua states. */
#include <lua.h>

#include "base/slice.h"
#include "lua/memory.h"

/* A state with the standard libraries, the gateway's own Lua on its path, tidegate.yaml and tidegate.fake preloaded. */
lua_State *vm_new(void);
/* Another one that counts in m, all zero before, what it allocates. Its Lua may bound that, for code that is not ours:
 * require("tidegate.memory").bound(bytes) lets it take so many more, bound() as many as it wants. */
lua_State *vm_new_counted(struct memory *m);
void vm_free(lua_State *L);

/* The folder that holds tidegate/init.lua and its kin: TIDEGATE_LUA, else beside the binary, else where it was
 * installed. */
const char *vm_lua_folder(void);

/* Calls require(module).function with the arguments on the stack; results stay on it. On an error logs it with its
 * traceback, pops everything and gives false. */
bool vm_call(lua_State *L, const char *module, const char *function, int args, int results);
