#include "lua/yaml.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "lua/yaml_scalar.h"

enum { TEXT_MAX = 16 << 20, DEPTH_MAX = 64, NODES_MAX = 1000000, ERRORS_MAX = 100 };

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

enum { AT_FILE = 2, AT_READER, AT_ERRORS, AT_ANCHORS };     /* places on the Lua stack of parse */

/* -- errors -- */

static void add_error_at(struct reader *r, size_t line, size_t column, const char *message)
{
    lua_State *L = r->L;
    if (r->errors >= ERRORS_MAX)
        return;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)line + 1);
    lua_setfield(L, -2, "line");
    lua_pushinteger(L, (lua_Integer)column + 1);
    lua_setfield(L, -2, "column");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_rawseti(L, AT_ERRORS, ++r->errors);
}

static void add_error(struct reader *r, yaml_mark_t at, const char *message)
{
    add_error_at(r, at.line, at.column, message);
}

static void add_error_about(struct reader *r, yaml_mark_t at, const char *before, const char *name, const char *after)
{
    char message[256];
    snprintf(message, sizeof message, "%s\"%.80s\"%s", before, name, after);
    add_error(r, at, message);
}

/* libyaml could not decode a byte; it gives the offset of the byte only. */
static void add_decoding_error(struct reader *r)
{
    size_t line = 0, column = 0, end = r->parser.problem_offset < r->len ? r->parser.problem_offset : r->len;
    char message[128];
    /* What is wrong with a character is found at the byte after it: go back to its first one. */
    if (strstr(r->parser.problem, "trailing"))
        while (end > 0 && ((unsigned char)r->text[--end] & 0xc0) == 0x80)
            ;
    unsigned byte = end < r->len ? (unsigned char)r->text[end] : 0;
    for (size_t i = 0; i < end; i++) {
        if (r->text[i] == '\n')
            line++, column = 0;
        else if (((unsigned char)r->text[i] & 0xc0) != 0x80)
            column++;
    }
    if (strstr(r->parser.problem, "control"))
        snprintf(message, sizeof message, "a control character (0x%02x) cannot stand in YAML", byte);
    else
        snprintf(message, sizeof message, "not UTF-8 (byte 0x%02x): save the file as UTF-8", byte);
    add_error_at(r, line, column, message);
}

/* The byte that a mark points at; 0 where there is none. Marks count lines and characters, not bytes. */
static char byte_at(const struct reader *r, yaml_mark_t mark)
{
    const char *at = r->text, *end = r->text + r->len;
    for (size_t line = 0; line < mark.line && at; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return 0;
    for (size_t column = 0; column < mark.column && at < end; column++)
        do
            at++;
        while (at < end && ((unsigned char)*at & 0xc0) == 0x80);
    return at < end ? *at : 0;
}

/* Whether a mark points at the brace of a "${", which opens a map between brackets or braces. */
static bool is_reference(const struct reader *r, yaml_mark_t mark)
{
    if (mark.column == 0 || byte_at(r, mark) != '{')
        return false;
    mark.column--;
    return byte_at(r, mark) == '$';
}

/* Whether a line is one that version control leaves in a file where a merge did not work out. */
static bool is_merge_mark(const struct reader *r, size_t number)
{
    static const char *const marks[] = { "<<<<<<< ", "=======", ">>>>>>> ", NULL };
    const char *at = r->text, *end = r->text + r->len;
    for (size_t line = 0; line < number && at; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    for (const char *const *mark = marks; at && *mark; mark++)
        if ((size_t)(end - at) >= strlen(*mark) && memcmp(at, *mark, strlen(*mark)) == 0)
            return true;
    return false;
}

/* What usually is the matter when libyaml says that it has a problem. */
static const struct trouble {
    const char *problem;        /* a part of libyaml's words */
    const char *message;
    bool at_context;            /* stands where the thing began that went wrong, not where it ended */
    bool tell_line;             /* goes on with the line where it began */
} troubles[] = {
    { "mapping values are not allowed",
      "unexpected \": \"; a value that holds one needs quotes, and a key a line of its own", false, false },
    { "could not find expected ':'", "expected a colon and a space after this key", true, false },
    { "alphabetic or numeric", "a word that starts with * or & needs quotes", true, false },
    { "did not find expected ',' or ']'", "expected a comma or ] in the list that starts on line", false, true },
    { "did not find expected ',' or '}'", "expected a comma or } in the map that starts on line", false, true },
    { "did not find expected key",
      "expected a key, indented like its neighbours in the map that starts on line", false, true },
    { "did not find expected '-'",
      "expected \"- \", indented like its neighbours in the list that starts on line", false, true },
    { "did not find expected node content", "expected a value", false, false },
    { "block sequence entries are not", "a list cannot start here: \"- \" starts a line of its own", false, false },
    { "unexpected end of stream", "this quote is not closed", true, false },
    { "cannot start any token", "a word that starts with this character needs quotes", false, false },
    { "unknown escape character", "unknown escape: inside double quotes a backslash is written \\\\", false, false },
};

static void add_syntax_error(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "not YAML";
    const struct trouble *t = troubles, *end = troubles + sizeof troubles / sizeof troubles[0];
    char message[256];
    if (p->error == YAML_MEMORY_ERROR)
        luaL_error(r->L, "not enough memory");
    if (p->error == YAML_READER_ERROR) {
        add_decoding_error(r);
        return;
    }
    while (t < end && !strstr(problem, t->problem))
        t++;
    bool at_context = t < end && t->at_context && p->context;
    if (strstr(problem, "cannot start any token") && byte_at(r, p->problem_mark) == '\t')
        snprintf(message, sizeof message, "a tab cannot indent YAML: use spaces");
    else if (strstr(problem, "expected node content") && byte_at(r, p->problem_mark) == ':')
        snprintf(message, sizeof message, "a word that starts with a colon needs quotes between brackets or braces");
    else if (t < end && t->tell_line && is_reference(r, p->problem_mark))
        snprintf(message, sizeof message, "a value with ${...} needs quotes between brackets or braces");
    else if (is_merge_mark(r, at_context ? p->context_mark.line : p->problem_mark.line))
        snprintf(message, sizeof message, "this line is left over from a merge: choose one of the two versions");
    else if (t == end)
        snprintf(message, sizeof message, "%s%s%s", problem, p->context ? " " : "", p->context ? p->context : "");
    else if (t->tell_line)
        snprintf(message, sizeof message, "%s %zu", t->message, p->context_mark.line + 1);
    else
        snprintf(message, sizeof message, "%s", t->message);
    add_error(r, at_context ? p->context_mark : p->problem_mark, message);
}

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
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        add_syntax_error(r);
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
    add_error_about(r, r->event.start_mark, "unknown tag ", tag, "");
    return NULL;
}

/* -- nodes -- */

static bool count_node(struct reader *r, yaml_mark_t at)
{
    if (++r->nodes <= NODES_MAX)
        return true;
    add_error(r, at, "more than a million values (aliases count with all they stand for)");
    return false;
}

static void push_place(struct reader *r, yaml_mark_t at)
{
    lua_State *L = r->L;
    lua_pushinteger(L, (lua_Integer)at.line + 1);
    lua_setfield(L, -2, "line");
    lua_pushinteger(L, (lua_Integer)at.column + 1);
    lua_setfield(L, -2, "column");
    lua_pushvalue(L, AT_FILE);
    lua_setfield(L, -2, "file");
}

static void push_node(struct reader *r, const char *kind)
{
    lua_createtable(r->L, 0, 8);
    lua_pushstring(r->L, kind);
    lua_setfield(r->L, -2, "kind");
    push_place(r, r->event.start_mark);
}

/* Remembers the node on top under the name of its anchor, if it has one. */
static void keep_anchor(struct reader *r, const char *anchor)
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
    if (!count_node(r, r->event.start_mark))
        return false;
    push_node(r, "scalar");
    if (tag ? strcmp(tag, "str") != 0 : style == YAML_PLAIN_SCALAR_STYLE && r->event.data.scalar.plain_implicit)
        type = yaml_scalar_push(L, text, len);
    else
        lua_pushlstring(L, text, len);
    lua_setfield(L, -2, "value");
    for (size_t i = 0; tag && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(tag, types[i].tag) == 0 && strcmp(type, types[i].type) != 0 &&
            !(strcmp(tag, "float") == 0 && strcmp(type, "integer") == 0))
            add_error_about(r, r->event.start_mark, "", text, " does not fit its tag");
    lua_pushstring(L, type);
    lua_setfield(L, -2, "type");
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, "text");
    lua_pushstring(L, style == YAML_PLAIN_SCALAR_STYLE ? "plain"
                      : style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE ? "block" : "quoted");
    lua_setfield(L, -2, "style");
    keep_anchor(r, (const char *)r->event.data.scalar.anchor);
    return true;
}

static bool go_deeper(struct reader *r)
{
    if (++r->depth <= DEPTH_MAX) {
        luaL_checkstack(r->L, 16, "YAML");
        return true;
    }
    add_error(r, r->event.start_mark, "nested deeper than 64 levels");
    return false;
}

/* The name of an anchor is needed after its event is gone: it waits on the Lua stack. */
static const char *stash_anchor(struct reader *r, const yaml_char_t *anchor)
{
    if (anchor)
        lua_pushstring(r->L, (const char *)anchor);
    else
        lua_pushnil(r->L);
    open_anchor(r, (const char *)anchor);
    return lua_tostring(r->L, -1);
}

static bool read_list(struct reader *r)
{
    lua_State *L = r->L;
    core_tag(r);
    if (!count_node(r, r->event.start_mark) || !go_deeper(r))
        return false;
    const char *anchor = stash_anchor(r, r->event.data.sequence_start.anchor);
    push_node(r, "list");
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
    lua_setfield(L, -2, "items");
    keep_anchor(r, anchor);
    lua_remove(L, -2);
    r->depth--;
    return true;
}

/* Copies the table on top, which is a node or a part of one, without what belongs to its place. */
static bool copy_node(struct reader *r, int depth, yaml_mark_t at)
{
    lua_State *L = r->L;
    luaL_checkstack(L, 16, "YAML");
    lua_getfield(L, -1, "kind");
    bool is_node = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (is_node && !count_node(r, at))
        return false;
    if (is_node && ++depth > DEPTH_MAX) {
        add_error(r, at, "nested deeper than 64 levels by aliases");
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

/* Pushes a copy of what the alias stands for: overrides of one place must not change the other. */
static bool read_alias(struct reader *r)
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
        add_error_about(r, at, "alias ", name, " has no anchor above it");
    else
        add_error_about(r, at, "alias ", name, " stands inside its own anchor");
    return false;
}

/* Puts the entry on top into the map at `map` (absolute); index is its place in the order. */
static void put_entry(struct reader *r, int map, int index)
{
    lua_State *L = r->L;
    lua_getfield(L, map, "fields");
    lua_getfield(L, -2, "key");
    lua_pushinteger(L, index);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_getfield(L, map, "entries");
    lua_insert(L, -2);
    lua_rawseti(L, -2, index);
    lua_pop(L, 1);
}

/* Where the map has the key on top already, its index; 0 otherwise. */
static int index_of_key(lua_State *L, int map)
{
    lua_getfield(L, map, "fields");
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    int index = (int)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return index;
}

/* Adds the entries of the map on top that the map at `map` does not have. */
static int merge_map(struct reader *r, int map, int count)
{
    lua_State *L = r->L;
    lua_getfield(L, -1, "entries");
    for (int i = 1, n = (int)lua_objlen(L, -1); i <= n; i++) {
        lua_rawgeti(L, -1, i);
        lua_getfield(L, -1, "key");
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

static bool is_kind(lua_State *L, const char *kind)
{
    lua_getfield(L, -1, "kind");
    bool is = strcmp(lua_tostring(L, -1), kind) == 0;
    lua_pop(L, 1);
    return is;
}

/* `<<`: takes the map, or the list of maps, off the stack. */
static int merge(struct reader *r, int map, int count, yaml_mark_t at)
{
    lua_State *L = r->L;
    bool good = is_kind(L, "map");
    if (good) {
        count = merge_map(r, map, count);
    } else if (is_kind(L, "list")) {
        good = true;
        lua_getfield(L, -1, "items");
        for (int i = 1, n = (int)lua_objlen(L, -1); i <= n && good; i++) {
            lua_rawgeti(L, -1, i);
            good = is_kind(L, "map");
            if (good)
                count = merge_map(r, map, count);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (!good)
        add_error(r, at, "expected a map or a list of maps after the merge key <<");
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
            add_error(r, r->event.start_mark, "a key cannot have an anchor");
        return true;
    }
    yaml_mark_t at = r->event.start_mark;
    if (!read_node(r))
        return false;
    if (is_kind(L, "scalar"))
        lua_getfield(L, -1, "text");
    else
        lua_pushnil(L);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        add_error(r, at, "expected a word as key, found a list or a map; a value that starts with { or [ needs quotes");
        lua_pop(L, 1);
        return false;
    }
    return true;
}

static void report_duplicate(struct reader *r, int map, int index, yaml_mark_t at)
{
    lua_State *L = r->L;
    char after[64];
    lua_getfield(L, map, "entries");
    lua_rawgeti(L, -1, index);
    lua_getfield(L, -1, "line");
    snprintf(after, sizeof after, ", first on line %d", (int)lua_tointeger(L, -1));
    lua_pop(L, 3);
    add_error_about(r, at, "duplicate key ", lua_tostring(L, -1), after);
}

/* Reads key and value; puts them into the map, or onto the list of what is merged in the end. */
static bool read_entry(struct reader *r, int map, int *count, int merges)
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
        lua_rawseti(L, merges, (int)lua_objlen(L, merges) + 1);
        lua_pop(L, 1);
        return true;
    }
    lua_createtable(L, 0, 5);
    push_place(r, at);
    lua_insert(L, -2);
    lua_setfield(L, -2, "value");
    lua_insert(L, -2);
    lua_setfield(L, -2, "key");
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
    if (!count_node(r, at) || !go_deeper(r))
        return false;
    const char *anchor = stash_anchor(r, r->event.data.mapping_start.anchor);
    push_node(r, "map");
    lua_newtable(L);
    lua_setfield(L, -2, "entries");
    lua_newtable(L);
    lua_setfield(L, -2, "fields");
    lua_newtable(L);
    int map = lua_gettop(L) - 1, merges = map + 1;
    for (;;) {
        if (!next_event(r))
            return false;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!read_entry(r, map, &count, merges))
            return false;
    }
    for (int i = 1, n = (int)lua_objlen(L, merges); i <= n; i++) {
        lua_rawgeti(L, merges, i);
        count = merge(r, map, count, at);
    }
    lua_pop(L, 1);
    keep_anchor(r, anchor);
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
    case YAML_ALIAS_EVENT:          return read_alias(r);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:    break;
    }
    add_error(r, r->event.start_mark, "not YAML");
    return false;
}

/* Pushes the node of the one document; an empty text is a null scalar. */
static bool read_document(struct reader *r)
{
    if (!next_event(r) || !next_event(r))           /* stream start; document start or stream end */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        push_node(r, "scalar");
        lua_pushliteral(r->L, "null");
        lua_setfield(r->L, -2, "type");
        lua_pushliteral(r->L, "");
        lua_setfield(r->L, -2, "text");
        return true;
    }
    if (!next_event(r) || !read_node(r) || !next_event(r))      /* ...; document end */
        return false;
    if (!next_event(r))
        return false;
    if (r->event.type != YAML_STREAM_END_EVENT)
        add_error(r, r->event.start_mark, "a second document starts here; one file holds one");
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
        add_error_at(r, 0, 0, "larger than 16 MiB");
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
