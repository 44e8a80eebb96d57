#pragma once
/* fake: the data plane in memory, for specs (lua/tidegate/spec). The same frontend, exchange, router, chains and
 * upstream connections as in a loop, but streams are wires, the time is what the spec says, and the plugins run in the
 * spec's own Lua. There is one in a process. It is the Lua module tidegate.fake; fake.c tells its functions. */
#include <lua.h>

int luaopen_tidegate_fake(lua_State *L);
