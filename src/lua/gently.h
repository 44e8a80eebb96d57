#pragma once
/* gently: Lua of the control thread that rests now and then. Where a loop has the same core, it waits for all that this
 * thread does in one go, for up to three milliseconds; so what nobody waits for that urgently is done in small pieces.
 * Only the first part of long work: who saves ten thousand routes wants them in force. */
struct lua_State;

/* From here on the thread sleeps a little after every little while of running Lua, until the end or until it has run
 * for long enough. Nothing is compiled meanwhile: compiled code has no hooks, short work gains nothing by it, and loops
 * feel each change of what is executable. The state's hooks are ours. */
void gently_begin(struct lua_State *L);
void gently_end(struct lua_State *L);
