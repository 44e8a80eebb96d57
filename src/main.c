/* The command line is Lua (lua/tidegate/cli.lua). It does everything itself but to become the gateway. */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "lua/vm.h"
#include "run/command.h"
#include "run/supervisor.h"

int main(int argc, char **argv)
{
    static struct memory memory;
    lua_State *L = vm_new_counted(&memory);
    lua_newtable(L);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    int code = 1;
    if (vm_call(L, "tidegate.cli", "main", 1, 1))
        code = (int)lua_tointeger(L, -1);
    vm_free(L);
    memory_free(&memory);
    const struct command *c = command_wanted();
    if (code != 0 || c->mode == TIDE_EXIT)
        return code;
    struct supervisor_options o = { c->config, c->overrides, c->mode == TIDE_START, argv };
    return supervisor_run(&o);
}
