#pragma once
/* yaml: a YAML 1.2 text as Lua tables that know where they stand. The Lua module is tidegate.yaml:
 *
 *     local node, errors = yaml.parse(text, filename)
 *
 * node, or nil where the text could not be understood, is one of
 *     { kind = "scalar", type =, value =, text =, style =, ... }
 *     { kind = "list", items = { node, ... }, ... }
 *     { kind = "map", entries = { { key =, value = node, line =, column = }, ... }, fields = { [key] = index }, ... }
 * and each holds line, column (from 1, in characters) and file. Entries are in the order of the text. A scalar's type
 * is string, boolean, integer, number or null by the YAML 1.2 core schema (so "yes" and "on" are strings); its text is
 * as written; its style is plain, quoted or block. Aliases are copies; merge keys (<<) are merged.
 *
 * errors, or nil, is a list of { line =, column =, message = }. Where node is there all the same (a duplicate key, an
 * unknown tag) the rest of the text was understood.
 *
 *     local type, value = yaml.resolve(text)      what a plain scalar with this text would be
 *
 * Bounded: 16 MiB of text, 64 levels, a million nodes with all aliases written out. */
#include <lua.h>

int luaopen_tidegate_yaml(lua_State *L);
