#pragma once
/* gently: Lua of the control thread that keeps a pace (base/pace.h). */
struct lua_State;

/* From here on the thread rests after every little while of running Lua: at every some hundred instructions and blocks
 * of memory, where compiled code allocates at all. Nothing is compiled before the work has turned out to be long: short
 * work gains nothing by it, and loops feel each change of what is executable. The state's hooks are ours. */
void gently_begin(struct lua_State *L);
void gently_end(struct lua_State *L);
