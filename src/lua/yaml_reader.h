#pragma once
/* yaml_reader: what lua/yaml.c, which makes tables, and lua/yaml_error.c, which finds words for errors, share. */
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
