#pragma once
/* control_lua: calls of the control thread into its Lua: functions of tidegate.control that take and give texts. The
 * only file of this layer that knows lua.h. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_State;

/* What Lua gave: a number, a text, or nothing of both (nil). */
struct lua_result {
    bool is_number;
    double number;
    char *text;                         /* malloc'd, NUL-terminated; NULL: none */
    size_t len;
};

enum { LUA_ARGS = 6, LUA_RESULTS = 6 };

/* Calls the function `name` with `count` texts (NULL: nil) and gives its first `wanted` results, whose texts the caller
 * frees. False: it failed, has logged why, and there are no results. */
bool lua_ask(struct lua_State *L, const char *name, const char *const *args, int count, struct lua_result *results,
             int wanted);
/* The same for a function whose results do not matter. */
void lua_tell(struct lua_State *L, const char *name, const char *const *args, int count);
/* Collects all garbage. */
void lua_tidy(struct lua_State *L);
/* Goes on collecting, from where it was left, for about so long. True: a whole round has ended. */
bool lua_tidy_some(struct lua_State *L, uint64_t us);
size_t lua_memory(struct lua_State *L);          /* bytes, garbage included */
