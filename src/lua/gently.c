#include "lua/gently.h"

#include <luajit.h>

#include "base/pace.h"

enum { INSTRUCTIONS = 500 };    /* between two calls of the hook: some 10 us */

/* The state's own, where allocate has its place. */
static _Thread_local lua_Alloc own_allocate;
static _Thread_local void *own_owner;

static void *allocate(void *owner, void *at, size_t old, size_t new)
{
    (void)owner;
    pace_keep();
    return own_allocate(own_owner, at, old, new);
}

static void set_compiler(lua_State *L, int on) { (void)luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | on); }

/* Compiled code calls no hooks. */
static void on_instructions(lua_State *L, lua_Debug *where)
{
    (void)where;
    pace_look();
    if (!pace_is_long())
        return;
    lua_sethook(L, NULL, 0, 0);
    set_compiler(L, LUAJIT_MODE_ON);
}

void gently_begin(lua_State *L)
{
    gently_end(L);
    pace_begin();
    own_allocate = lua_getallocf(L, &own_owner);
    lua_setallocf(L, allocate, NULL);
    set_compiler(L, LUAJIT_MODE_OFF);
    lua_sethook(L, on_instructions, LUA_MASKCOUNT, INSTRUCTIONS);
}

void gently_end(lua_State *L)
{
    pace_end();
    lua_sethook(L, NULL, 0, 0);
    set_compiler(L, LUAJIT_MODE_ON);
    if (lua_getallocf(L, NULL) == allocate)
        lua_setallocf(L, own_allocate, own_owner);
}
