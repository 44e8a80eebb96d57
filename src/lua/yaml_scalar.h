#pragma once
/* yaml_scalar: what a plain scalar means, YAML 1.2.2 section 10.3.2 (the core schema). */
#include <lua.h>

/* Pushes the value of a plain scalar and gives the name of its type: null, boolean, integer, number or string. After
 * len bytes of text stands a NUL. */
const char *yaml_scalar_push(lua_State *L, const char *text, size_t len);
