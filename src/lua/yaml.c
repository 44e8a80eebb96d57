#include "lua/yaml.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/pace.h"
#include "lua/yaml_reader.h"
#include "lua/yaml_scalar.h"

enum { TEXT_MAX = 16 << 20 };

/* -- events -- */

static void drop_event(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
}

static bool next_event(struct reader *r)
{
    drop_event(r);
    pace_keep();
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        yaml_error_of_syntax(r);
        return false;
    }
    r->has_event = true;
    return true;
}

/* -- scalars -- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* The core tags and "!"; all else is refused rather than guessed. */
static const char *core_tag(struct reader *r)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const names[] = { "str", "int", "float", "bool", "null", "map", "seq", NULL };
    const yaml_event_t *e = &r->event;
    const yaml_char_t *own = e->type == YAML_SCALAR_EVENT          ? e->data.scalar.tag
                             : e->type == YAML_MAPPING_START_EVENT ? e->data.mapping_start.tag
                                                                   : e->data.sequence_start.tag;
    const char *tag = (const char *)own;
    if (!tag)
        return NULL;
    if (strcmp(tag, "!") == 0)
        return r->event.type == YAML_SCALAR_EVENT ? "str" : NULL;
    if (strncmp(tag, prefix, sizeof prefix - 1) == 0 && is_one_of(tag + sizeof prefix - 1, names))
        return tag + sizeof prefix - 1;
    yaml_error_about(r, r->event.start_mark, "unknown tag ", tag, "");
    return NULL;
}

/* -- nodes -- */

bool yaml_count_node(struct reader *r, yaml_mark_t at)
{
    if (++r->nodes <= YAML_NODES_MAX)
        return true;
    yaml_error(r, at, "more than a million values (aliases count with all they stand for)");
    return false;
}

static void set_place(struct reader *r, yaml_mark_t at)
{
    yaml_set_number(r->L, WORD_LINE, at.line + 1);
    yaml_set_number(r->L, WORD_COLUMN, at.column + 1);
    lua_pushvalue(r->L, AT_FILE);
    yaml_set(r->L, WORD_FILE);
}

static void push_node(struct reader *r, enum word kind)
{
    lua_createtable(r->L, 0, 8);
    yaml_set_word(r->L, WORD_KIND, kind);
    set_place(r, r->event.start_mark);
}

static bool read_node(struct reader *r);

static bool read_scalar(struct reader *r)
{
    static const struct { const char *tag, *type; } types[] = {
        { "int", "integer" }, { "float", "number" }, { "bool", "boolean" }, { "null", "null" },
    };
    lua_State *L = r->L;
    const char *text = (const char *)r->event.data.scalar.value;
    size_t len = r->event.data.scalar.length;
    yaml_scalar_style_t style = r->event.data.scalar.style;
    const char *tag = core_tag(r), *type = "string";
    if (!yaml_count_node(r, r->event.start_mark))
        return false;
    push_node(r, WORD_SCALAR);
    if (tag ? strcmp(tag, "str") != 0 : style == YAML_PLAIN_SCALAR_STYLE && r->event.data.scalar.plain_implicit)
        type = yaml_scalar_push(L, text, len);
    else
        lua_pushlstring(L, text, len);
    yaml_set(L, WORD_VALUE);
    for (size_t i = 0; tag && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(tag, types[i].tag) == 0 && strcmp(type, types[i].type) != 0 &&
            !(strcmp(tag, "float") == 0 && strcmp(type, "integer") == 0))
            yaml_error_about(r, r->event.start_mark, "", text, " does not fit its tag");
    lua_pushstring(L, type);
    yaml_set(L, WORD_TYPE);
    lua_pushlstring(L, text, len);
    yaml_set(L, WORD_TEXT);
    yaml_set_word(L, WORD_STYLE,
                  style == YAML_PLAIN_SCALAR_STYLE                                          ? WORD_PLAIN
                  : style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE ? WORD_BLOCK
                                                                                            : WORD_QUOTED);
    yaml_keep_anchor(r, (const char *)r->event.data.scalar.anchor);
    return true;
}

static bool go_deeper(struct reader *r)
{
    if (++r->depth <= YAML_DEPTH_MAX) {
        luaL_checkstack(r->L, 16, "YAML");
        return true;
    }
    yaml_error(r, r->event.start_mark, "nested deeper than 64 levels");
    return false;
}

static bool read_list(struct reader *r)
{
    lua_State *L = r->L;
    core_tag(r);
    if (!yaml_count_node(r, r->event.start_mark) || !go_deeper(r))
        return false;
    const char *anchor = yaml_stash_anchor(r, r->event.data.sequence_start.anchor);
    push_node(r, WORD_LIST);
    lua_newtable(L);
    for (int n = 1;; n++) {
        if (!next_event(r))
            return false;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (!read_node(r))
            return false;
        lua_rawseti(L, -2, n);
    }
    yaml_set(L, WORD_ITEMS);
    yaml_keep_anchor(r, anchor);
    lua_remove(L, -2);
    r->depth--;
    return true;
}

/* A map that is being read is four values on the stack: its node, at `map`; its entries, its fields, and those that are
 * to be merged into it or nil. */
enum { OF_ENTRIES = 1, OF_FIELDS, OF_MERGES };

/* Puts the entry on top into the map; index is its place in the order. */
static void put_entry(struct reader *r, int map, int index)
{
    lua_State *L = r->L;
    yaml_get(L, WORD_KEY);
    lua_pushinteger(L, index);
    lua_rawset(L, map + OF_FIELDS);
    lua_rawseti(L, map + OF_ENTRIES, index);
}

/* Where the map has the key on top already, its index; 0 otherwise. */
static int index_of_key(lua_State *L, int map)
{
    lua_pushvalue(L, -1);
    lua_rawget(L, map + OF_FIELDS);
    int index = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return index;
}

/* Adds the entries of the map on top that the map at `map` does not have. */
static int merge_map(struct reader *r, int map, int count)
{
    lua_State *L = r->L;
    yaml_get(L, WORD_ENTRIES);
    for (int i = 1, n = (int)lua_objlen(L, -1); i <= n; i++) {
        lua_rawgeti(L, -1, i);
        yaml_get(L, WORD_KEY);
        int known = index_of_key(L, map);
        lua_pop(L, 1);
        if (known)
            lua_pop(L, 1);
        else
            put_entry(r, map, ++count);
    }
    lua_pop(L, 1);
    return count;
}

static bool is_kind(lua_State *L, enum word kind)
{
    yaml_get(L, WORD_KIND);
    bool is = lua_rawequal(L, -1, (int)kind);
    lua_pop(L, 1);
    return is;
}

/* `<<`: takes the map, or the list of maps, off the stack. */
static int merge(struct reader *r, int map, int count, yaml_mark_t at)
{
    lua_State *L = r->L;
    bool good = is_kind(L, WORD_MAP);
    if (good) {
        count = merge_map(r, map, count);
    } else if (is_kind(L, WORD_LIST)) {
        good = true;
        yaml_get(L, WORD_ITEMS);
        for (int i = 1, n = (int)lua_objlen(L, -1); i <= n && good; i++) {
            lua_rawgeti(L, -1, i);
            good = is_kind(L, WORD_MAP);
            if (good)
                count = merge_map(r, map, count);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (!good)
        yaml_error(r, at, "expected a map or a list of maps after the merge key <<");
    lua_pop(L, 1);
    return count;
}

/* Pushes the text of the key in hand: a scalar, or an alias of one. */
static bool read_key(struct reader *r)
{
    lua_State *L = r->L;
    if (r->event.type == YAML_SCALAR_EVENT) {
        lua_pushlstring(L, (const char *)r->event.data.scalar.value, r->event.data.scalar.length);
        if (r->event.data.scalar.anchor)
            yaml_error(r, r->event.start_mark, "a key cannot have an anchor");
        return true;
    }
    yaml_mark_t at = r->event.start_mark;
    if (!read_node(r))
        return false;
    if (is_kind(L, WORD_SCALAR))
        yaml_get(L, WORD_TEXT);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        yaml_error(r, at,
                   "expected a word as key, found a list or a map; a value that starts with { or [ needs quotes");
        lua_pop(L, 1);
        return false;
    }
    return true;
}

static void report_duplicate(struct reader *r, int map, int index, yaml_mark_t at)
{
    lua_State *L = r->L;
    char after[64];
    lua_rawgeti(L, map + OF_ENTRIES, index);
    yaml_get(L, WORD_LINE);
    snprintf(after, sizeof after, ", first on line %d", (int)lua_tointeger(L, -1));
    lua_pop(L, 2);
    yaml_error_about(r, at, "duplicate key ", lua_tostring(L, -1), after);
}

/* Keeps the node on top for the end of the map. */
static void keep_merge(lua_State *L, int map)
{
    if (lua_isnil(L, map + OF_MERGES)) {
        lua_newtable(L);
        lua_replace(L, map + OF_MERGES);
    }
    lua_rawseti(L, map + OF_MERGES, (int)lua_objlen(L, map + OF_MERGES) + 1);
}

/* Reads key and value; puts them into the map, or onto the list of what is merged in the end. */
static bool read_entry(struct reader *r, int map, int *count)
{
    lua_State *L = r->L;
    yaml_mark_t at = r->event.start_mark;
    bool is_merge = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                    strcmp((const char *)r->event.data.scalar.value, "<<") == 0;
    if (!read_key(r))
        return false;
    int known = is_merge ? 0 : index_of_key(L, map);
    if (known)
        report_duplicate(r, map, known, at);
    if (!next_event(r) || !read_node(r))
        return false;
    if (is_merge) {
        keep_merge(L, map);
        lua_pop(L, 1);
        return true;
    }
    lua_createtable(L, 0, 5);
    set_place(r, at);
    lua_insert(L, -2);
    yaml_set(L, WORD_VALUE);
    lua_insert(L, -2);
    yaml_set(L, WORD_KEY);
    if (known)
        lua_pop(L, 1);
    else
        put_entry(r, map, ++*count);
    return true;
}

static bool read_map(struct reader *r)
{
    lua_State *L = r->L;
    yaml_mark_t at = r->event.start_mark;
    int count = 0;
    core_tag(r);
    if (!yaml_count_node(r, at) || !go_deeper(r))
        return false;
    const char *anchor = yaml_stash_anchor(r, r->event.data.mapping_start.anchor);
    push_node(r, WORD_MAP);
    int map = lua_gettop(L);
    lua_createtable(L, 4, 0);
    lua_createtable(L, 0, 4);
    lua_pushnil(L);
    for (;;) {
        if (!next_event(r))
            return false;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!read_entry(r, map, &count))
            return false;
    }
    for (int i = 1, n = lua_isnil(L, -1) ? 0 : (int)lua_objlen(L, -1); i <= n; i++) {
        lua_rawgeti(L, map + OF_MERGES, i);
        count = merge(r, map, count, at);
    }
    lua_pop(L, 1);
    lua_pushvalue(L, WORD_FIELDS);
    lua_insert(L, -2);
    lua_rawset(L, map);
    lua_pushvalue(L, WORD_ENTRIES);
    lua_insert(L, -2);
    lua_rawset(L, map);
    yaml_keep_anchor(r, anchor);
    lua_remove(L, -2);
    r->depth--;
    return true;
}

/* Pushes the node that starts with the event in hand. False: an error is noted, and reading is over. */
static bool read_node(struct reader *r)
{
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:         return read_scalar(r);
    case YAML_SEQUENCE_START_EVENT: return read_list(r);
    case YAML_MAPPING_START_EVENT:  return read_map(r);
    case YAML_ALIAS_EVENT:          return yaml_push_alias(r);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:    break;
    }
    yaml_error(r, r->event.start_mark, "not YAML");
    return false;
}

/* Pushes the node of the one document; an empty text is a null scalar. */
static bool read_document(struct reader *r)
{
    if (!next_event(r) || !next_event(r))           /* stream start; document start or stream end */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        push_node(r, WORD_SCALAR);
        lua_pushliteral(r->L, "null");
        yaml_set(r->L, WORD_TYPE);
        lua_pushliteral(r->L, "");
        yaml_set(r->L, WORD_TEXT);
        return true;
    }
    if (!next_event(r) || !read_node(r) || !next_event(r))      /* ...; document end */
        return false;
    if (!next_event(r))
        return false;
    if (r->event.type != YAML_STREAM_END_EVENT)
        yaml_error(r, r->event.start_mark, "a second document starts here; one file holds one");
    return true;
}

/* -- the module -- */

/* May be called again: a deleted parser is all zero. */
static void reader_close(struct reader *r)
{
    drop_event(r);
    yaml_parser_delete(&r->parser);
}

static int reader_collect(lua_State *L)
{
    reader_close(lua_touserdata(L, 1));
    return 0;
}

static struct reader *reader_new(lua_State *L)
{
    struct reader *r = lua_newuserdata(L, sizeof *r);
    memset(r, 0, sizeof *r);
    r->L = L;
    if (!yaml_parser_initialize(&r->parser))
        luaL_error(L, "not enough memory");
    if (luaL_newmetatable(L, "tidegate.yaml.reader")) {
        lua_pushcfunction(L, reader_collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return r;
}

static int parse(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_optstring(L, AT_FILE, "");
    lua_settop(L, AT_FILE);
    struct reader *r = reader_new(L);       /* AT_READER */
    lua_newtable(L);                        /* AT_ERRORS */
    lua_newtable(L);                        /* AT_ANCHORS */
    yaml_push_words(L);                          /* AT_WORDS */
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3, len -= 3;
    r->text = text;
    r->len = len;
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, len);
    bool good = len <= TEXT_MAX;
    if (good)
        good = read_document(r);
    else
        yaml_error_at(r, 0, 0, "larger than 16 MiB");
    if (!good)
        lua_pushnil(L);
    if (r->errors)
        lua_pushvalue(L, AT_ERRORS);
    else
        lua_pushnil(L);
    reader_close(r);
    return 2;
}

static int resolve(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushstring(L, yaml_scalar_push(L, text, len));
    lua_insert(L, -2);
    return 2;
}

int luaopen_tidegate_yaml(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, parse);
    lua_setfield(L, -2, "parse");
    lua_pushcfunction(L, resolve);
    lua_setfield(L, -2, "resolve");
    return 1;
}
