#include "run/control_lua.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lua/vm.h"

static struct lua_result result_at(lua_State *L, int place)
{
    struct lua_result r = { 0 };
    if (lua_type(L, place) == LUA_TNUMBER) {
        r.is_number = true;
        r.number = lua_tonumber(L, place);
        return r;
    }
    const char *text = lua_tolstring(L, place, &r.len);
    if (!text)
        return r;
    r.text = malloc(r.len + 1);
    if (!r.text)
        abort();
    memcpy(r.text, text, r.len + 1);
    return r;
}

bool lua_ask(lua_State *L, const char *name, const char *const *args, int count, struct lua_result *results, int wanted)
{
    memset(results, 0, (size_t)wanted * sizeof *results);
    for (int i = 0; i < count; i++)
        lua_pushstring(L, args[i]);
    if (!vm_call(L, "tidegate.control", name, count, wanted))
        return false;
    for (int i = 0; i < wanted; i++)
        results[i] = result_at(L, i - wanted);
    lua_settop(L, 0);
    return true;
}

void lua_tell(lua_State *L, const char *name, const char *const *args, int count)
{
    struct lua_result none[1];
    (void)lua_ask(L, name, args, count, none, 0);       /* it has logged why not */
}

void lua_tidy(lua_State *L) { lua_gc(L, LUA_GCCOLLECT, 0); }

bool lua_tidy_some(lua_State *L, uint64_t us)
{
    enum { STEP_KIB = 4 };
    uint64_t began_us = clock_us();
    do
        if (lua_gc(L, LUA_GCSTEP, STEP_KIB))
            return true;
    while (clock_us() - began_us < us);
    return false;
}

size_t lua_memory(lua_State *L) { return (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024; }
