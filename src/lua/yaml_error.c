/* yaml_error: what is wrong with a text, in words for people. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "lua/yaml_reader.h"

enum { ERRORS_MAX = 100 };

void yaml_error_at(struct reader *r, size_t line, size_t column, const char *message)
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

void yaml_error(struct reader *r, yaml_mark_t at, const char *message)
{
    yaml_error_at(r, at.line, at.column, message);
}

void yaml_error_about(struct reader *r, yaml_mark_t at, const char *before, const char *name, const char *after)
{
    char message[256];
    snprintf(message, sizeof message, "%s\"%.80s\"%s", before, name, after);
    yaml_error(r, at, message);
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
    yaml_error_at(r, line, column, message);
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
    { "block sequence entries are not", "a list cannot start here: \"- \" starts a line of its own", false, false },
    { "unexpected end of stream", "this quote is not closed", true, false },
    { "cannot start any token", "a word that starts with this character needs quotes", false, false },
    { "unknown escape character", "unknown escape: inside double quotes a backslash is written \\\\", false, false },
};

static void expected_value(char found, char *message, size_t size)
{
    if (!found)
        snprintf(message, size, "expected a value, found the end of the file");
    else if (found > ' ' && found < 0x7f)
        snprintf(message, size, "expected a value, found \"%c\"", found);
    else
        snprintf(message, size, "expected a value");
}

void yaml_error_of_syntax(struct reader *r)
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
    else if (strstr(problem, "expected node content"))
        expected_value(byte_at(r, p->problem_mark), message, sizeof message);
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
    yaml_error(r, at_context ? p->context_mark : p->problem_mark, message);
}
