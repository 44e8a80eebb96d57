#include "lua/yaml_scalar.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { NUMBER_MAX = 64 };       /* bytes; longer digits are a text */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static size_t digits(const char *at, int base)
{
    size_t n = 0;
    for (;; n++) {
        int c = (unsigned char)at[n] | 0x20;
        int value = at[n] >= '0' && at[n] <= '9' ? at[n] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (value >= base)
            return n;
    }
}

static double in_base(const char *at, int base)
{
    double value = 0;
    for (; *at; at++)
        value = value * base + (*at <= '9' ? *at - '0' : (*at | 0x20) - 'a' + 10);
    return value;
}

/* [-+]? ( \.[0-9]+ | [0-9]+ (\.[0-9]*)? ) ([eE][-+]?[0-9]+)? */
static bool is_float(const char *at)
{
    at += *at == '-' || *at == '+';
    size_t whole = digits(at, 10), part = 0;
    at += whole;
    if (*at == '.') {
        part = digits(at + 1, 10);
        at += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+';
        size_t exponent = digits(at, 10);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return *at == 0;
}

const char *yaml_scalar_push(lua_State *L, const char *text, size_t len)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", NULL };
    static const char *const falses[] = { "false", "False", "FALSE", NULL };
    static const char *const infs[] = { ".inf", ".Inf", ".INF", NULL };
    static const char *const nans[] = { ".nan", ".NaN", ".NAN", NULL };
    /* All that is no text begins with one of these, and most texts do not. */
    bool is_short = len <= NUMBER_MAX && strchr("~nNtTfF+-.0123456789", text[0]) && strlen(text) == len;
    const char *unsigned_text = text + (is_short && (*text == '-' || *text == '+'));
    if (is_short && is_one_of(text, nulls)) {
        lua_pushnil(L);
        return "null";
    }
    if (is_short && (is_one_of(text, trues) || is_one_of(text, falses))) {
        lua_pushboolean(L, is_one_of(text, trues));
        return "boolean";
    }
    if (is_short && text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
        int base = text[1] == 'o' ? 8 : 16;
        if (len > 2 && digits(text + 2, base) == len - 2) {
            lua_pushnumber(L, in_base(text + 2, base));
            return "integer";
        }
    }
    if (is_short && is_float(text)) {
        lua_pushlstring(L, text, len);
        lua_Number n = lua_tonumber(L, -1);
        lua_pop(L, 1);
        lua_pushnumber(L, n);
        return unsigned_text[digits(unsigned_text, 10)] ? "number" : "integer";
    }
    if (is_short && is_one_of(unsigned_text, infs)) {
        lua_pushnumber(L, *text == '-' ? -HUGE_VAL : HUGE_VAL);
        return "number";
    }
    if (is_short && is_one_of(text, nans)) {
        lua_pushnumber(L, (lua_Number)NAN);
        return "number";
    }
    lua_pushlstring(L, text, len);
    return "string";
}
