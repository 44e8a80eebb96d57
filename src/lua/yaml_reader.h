#pragma once
/* yaml_reader: what the parts of lua/yaml share. yaml.c makes nodes of events, yaml_alias.c copies those that stand
 * twice, yaml_error.c finds words for what is wrong. */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <yaml.h>

/* A userdata with a finalizer: an error thrown by Lua (no memory) leaks nothing. */
struct reader {
    lua_State *L;
    yaml_parser_t parser;
    yaml_event_t event;         /* the one in hand */
    bool has_event;
    const char *text;
    size_t len;
    int depth, nodes, errors;
};

/* Places on the Lua stack while a text is read; the table of errors is one of them. */
enum { AT_FILE = 2, AT_READER, AT_ERRORS, AT_ANCHORS, AT_WORDS };

/* Adds an error at a place (counted from 0); beyond a bound errors are dropped. */
void yaml_error_at(struct reader *r, size_t line, size_t column, const char *message);
void yaml_error(struct reader *r, yaml_mark_t at, const char *message);

/* The same with a name in quotes, of which 80 bytes are shown, between two texts. */
void yaml_error_about(struct reader *r, yaml_mark_t at, const char *before, const char *name, const char *after);

/* Adds what libyaml has to say, in words for people. Throws a Lua error where it ran out of memory. */
void yaml_error_of_syntax(struct reader *r);

/* -- words -- */

/* Keys and values that nodes are made of, in the order of their places on the stack: to push what is there is much
 * quicker than to look for a text that Lua knows. */
#define WORDS(X) \
    X(KIND, "kind") X(TYPE, "type") X(VALUE, "value") X(TEXT, "text") X(STYLE, "style") X(LINE, "line") \
    X(COLUMN, "column") X(FILE, "file") X(KEY, "key") X(ITEMS, "items") X(ENTRIES, "entries") X(FIELDS, "fields") \
    X(SCALAR, "scalar") X(LIST, "list") X(MAP, "map") X(PLAIN, "plain") X(QUOTED, "quoted") X(BLOCK, "block")

enum word {
    WORD_BEFORE = AT_WORDS - 1,
#define X(name, text) WORD_##name,
    WORDS(X)
#undef X
};

static inline void yaml_push_words(lua_State *L)
{
#define X(name, text) lua_pushliteral(L, text);
    luaL_checkstack(L, 32, "YAML");
    WORDS(X)
#undef X
}

/* Takes the value on top into the table below it. */
static inline void yaml_set(lua_State *L, enum word key)
{
    lua_pushvalue(L, (int)key);
    lua_insert(L, -2);
    lua_rawset(L, -3);
}

static inline void yaml_set_word(lua_State *L, enum word key, enum word value)
{
    lua_pushvalue(L, (int)key);
    lua_pushvalue(L, (int)value);
    lua_rawset(L, -3);
}

static inline void yaml_set_number(lua_State *L, enum word key, size_t value)
{
    lua_pushvalue(L, (int)key);
    lua_pushinteger(L, (lua_Integer)value);
    lua_rawset(L, -3);
}

/* Pushes the field of the table on top. */
static inline void yaml_get(lua_State *L, enum word key)
{
    lua_pushvalue(L, (int)key);
    lua_rawget(L, -2);
}

/* -- bounds -- */

enum { YAML_DEPTH_MAX = 64, YAML_NODES_MAX = 1000000 };

/* Counts one more; false, with an error, where there are too many. */
bool yaml_count_node(struct reader *r, yaml_mark_t at);

/* -- anchors -- */

/* Pushes the name of an anchor, or nil: it is needed after its event is gone. From now on an alias to it would hold
 * itself. What is given stays as long as it is on the stack. */
const char *yaml_stash_anchor(struct reader *r, const yaml_char_t *anchor);
/* Remembers the node on top under the name of its anchor, if it has one. */
void yaml_keep_anchor(struct reader *r, const char *anchor);
/* Pushes a copy of what the alias in hand stands for: overrides of one place must not change the other. False: an error
 * is noted. */
bool yaml_push_alias(struct reader *r);
