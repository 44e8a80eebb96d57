#include "lua/vm.h"

#include <lauxlib.h>
#include <libgen.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "lua/fake.h"
#include "lua/yaml.h"

#ifndef TIDEGATE_SHARE
#define TIDEGATE_SHARE "/usr/local/share/tidegate"
#endif

static bool has_lua(const char *folder)
{
    char file[PATH_MAX + 64];
    snprintf(file, sizeof file, "%s/tidegate/cli.lua", folder);
    return access(file, R_OK) == 0;
}

const char *vm_lua_folder(void)
{
    static char folder[PATH_MAX + 32];
    if (folder[0])
        return folder;
    const char *wish = getenv("TIDEGATE_LUA");
    if (wish) {
        snprintf(folder, sizeof folder, "%s", wish);
        return folder;
    }
    /* build/tidegate (or build/san-1/tidegate) in a source tree, bin/tidegate under any prefix, or in a tree of
     * rocks. */
    static const char *const near[] = { "/../lua", "/../../lua", "/../share/tidegate/lua",
                                        "/../lib/luarocks/rocks-5.1/tidegate/dev-1/share/tidegate/lua" };
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    for (unsigned i = 0; n > 0 && i < sizeof near / sizeof near[0]; i++) {
        exe[n] = 0;
        char copy[PATH_MAX];
        snprintf(copy, sizeof copy, "%s", exe);
        snprintf(folder, sizeof folder, "%s%s", dirname(copy), near[i]);
        if (has_lua(folder))
            return folder;
    }
    snprintf(folder, sizeof folder, "%s/lua", TIDEGATE_SHARE);
    return folder;
}

/* Modules are looked for in our folder and the system's, and where LUA_PATH says. LuaJIT's own default begins with the
 * folder that the caller stands in, where anybody may have put a file. */
static void set_path(lua_State *L, const char *name, const char *begin, const char *here)
{
    lua_getfield(L, -1, name);
    luaL_gsub(L, lua_tostring(L, -1), here, "");
    lua_pushstring(L, begin);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
}

lua_State *vm_new(void)
{
    lua_State *L = luaL_newstate();
    if (!L)
        abort();
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    const char *folder = vm_lua_folder(), *ours = lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;", folder, folder);
    lua_insert(L, -2);                  /* as long as it is used */
    set_path(L, "path", ours, "./?.lua;");
    set_path(L, "cpath", "", "./?.so;");
    lua_remove(L, -2);
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_tidegate_yaml);
    lua_setfield(L, -2, "tidegate.yaml");
    lua_pushcfunction(L, luaopen_tidegate_fake);
    lua_setfield(L, -2, "tidegate.fake");
    lua_pop(L, 2);
    return L;
}

static int bound(lua_State *L)
{
    struct memory *m = lua_touserdata(L, lua_upvalueindex(1));
    m->is_bounded = !lua_isnoneornil(L, 1);
    m->max = m->is_bounded ? m->used + (size_t)luaL_checknumber(L, 1) : 0;
    return 0;
}

static int open_memory(lua_State *L)
{
    lua_newtable(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, bound, 1);
    lua_setfield(L, -2, "bound");
    return 1;
}

lua_State *vm_new_counted(struct memory *m)
{
    lua_State *L = vm_new();
    memory_begin(m, L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushlightuserdata(L, m);
    lua_pushcclosure(L, open_memory, 1);
    lua_setfield(L, -2, "tidegate.memory");
    lua_pop(L, 2);
    return L;
}

void vm_free(lua_State *L) { lua_close(L); }

static int add_traceback(lua_State *L)
{
    luaL_traceback(L, L, lua_tostring(L, 1) ? lua_tostring(L, 1) : "error without a message", 1);
    return 1;
}

bool vm_call(lua_State *L, const char *module, const char *function, int args, int results)
{
    int base = lua_gettop(L) - args + 1;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, base);
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int failed = lua_pcall(L, 1, 1, base);
    if (!failed) {
        lua_getfield(L, -1, function);
        lua_remove(L, -2);
        lua_insert(L, base + 1);
        failed = lua_pcall(L, args, results, base);
    }
    if (failed) {
        if (has_lua(vm_lua_folder()))
            log_error("lua", lua_tostring(L, -1));
        else
            log_error("lua", "the gateway's own Lua files are missing; TIDEGATE_LUA names their folder", "folder",
                      vm_lua_folder());
        lua_settop(L, base - 1);
        return false;
    }
    lua_remove(L, base);
    return true;
}
