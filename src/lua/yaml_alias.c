/* yaml_alias: anchors, and the nodes that stand for what they are at. */
#include <lauxlib.h>

#include "lua/yaml_reader.h"

void yaml_keep_anchor(struct reader *r, const char *anchor)
{
    if (!anchor)
        return;
    lua_pushstring(r->L, anchor);
    lua_pushvalue(r->L, -2);
    lua_rawset(r->L, AT_ANCHORS);
}

/* An anchor whose node is still being read: an alias to it would hold itself. */
static void open_anchor(struct reader *r, const char *anchor)
{
    if (!anchor)
        return;
    lua_pushstring(r->L, anchor);
    lua_pushboolean(r->L, false);
    lua_rawset(r->L, AT_ANCHORS);
}

const char *yaml_stash_anchor(struct reader *r, const yaml_char_t *anchor)
{
    if (anchor)
        lua_pushstring(r->L, (const char *)anchor);
    else
        lua_pushnil(r->L);
    open_anchor(r, (const char *)anchor);
    return lua_tostring(r->L, -1);
}

/* Copies the table on top, which is a node or a part of one, without what belongs to its place. */
static bool copy_node(struct reader *r, int depth, yaml_mark_t at)
{
    lua_State *L = r->L;
    luaL_checkstack(L, 16, "YAML");
    yaml_get(L, WORD_KIND);
    bool is_node = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (is_node && !yaml_count_node(r, at))
        return false;
    if (is_node && ++depth > YAML_DEPTH_MAX) {
        yaml_error(r, at, "nested deeper than 64 levels by aliases");
        return false;
    }
    lua_createtable(L, (int)lua_objlen(L, -1), is_node ? 8 : 0);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        if (lua_istable(L, -1)) {
            if (!copy_node(r, depth, at))
                return false;
            lua_remove(L, -2);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    return true;
}

bool yaml_push_alias(struct reader *r)
{
    lua_State *L = r->L;
    const char *name = (const char *)r->event.data.alias.anchor;
    yaml_mark_t at = r->event.start_mark;
    lua_getfield(L, AT_ANCHORS, name);
    if (lua_istable(L, -1)) {
        if (!copy_node(r, r->depth, at))
            return false;
        lua_remove(L, -2);
        return true;
    }
    if (lua_isnil(L, -1))
        yaml_error_about(r, at, "alias ", name, " has no anchor above it");
    else
        yaml_error_about(r, at, "alias ", name, " stands inside its own anchor");
    return false;
}
