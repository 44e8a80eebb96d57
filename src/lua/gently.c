#include "lua/gently.h"

#include <luajit.h>
#include <time.h>

#include "base/clock.h"

enum {
    STEPS = 500,                /* instructions of Lua between two looks at the clock: some 10 us */
    RUN_US = 250, REST_US = 500,
    GENTLE_US = 15000,          /* of running in all */
};

static _Thread_local uint64_t since_us, ran_us;

static void set_compiler(lua_State *L, int on) { (void)luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | on); }

static void on_steps(lua_State *L, lua_Debug *where)
{
    (void)where;
    uint64_t run_us = clock_us() - since_us;
    if (run_us < RUN_US)
        return;
    ran_us += run_us;
    if (ran_us >= GENTLE_US) {
        gently_end(L);
        return;
    }
    struct timespec rest = { 0, REST_US * 1000 };
    (void)nanosleep(&rest, NULL);               /* a signal cuts it short: no harm */
    since_us = clock_us();
}

void gently_begin(lua_State *L)
{
    since_us = clock_us();
    ran_us = 0;
    set_compiler(L, LUAJIT_MODE_OFF);
    lua_sethook(L, on_steps, LUA_MASKCOUNT, STEPS);
}

void gently_end(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0);
    set_compiler(L, LUAJIT_MODE_ON);
}
