#include "base/regex_literals.h"

#include "base/regex.h"

struct reader {
    struct slice pattern;
    size_t at;
    struct regex_literals *out;
    bool is_open;                       /* the last run goes on */
    bool is_start;                      /* nothing but "^" was read yet */
    bool nocase;
};

static bool is_one_of(char c, const char *set) { return c && strchr(set, c); }

/* The byte that is so far ahead; 0 behind the end, which nothing asks for. */
static char peek(const struct reader *r, size_t ahead)
{
    return r->at + ahead < r->pattern.len ? r->pattern.at[r->at + ahead] : 0;
}

static bool is_digit(char c) { return (unsigned)c - '0' < 10; }
static bool is_letter(char c) { return (unsigned)byte_lower((unsigned char)c) - 'a' < 26; }

static void close_run(struct reader *r)
{
    r->is_open = false;
    r->is_start = false;
}

static void add_byte(struct reader *r, char c)
{
    struct regex_literals *l = r->out;
    if (l->bytes == LITERAL_BYTES_MAX || (!r->is_open && l->count == LITERAL_RUNS_MAX))
        return close_run(r);
    if (!r->is_open) {
        l->is_prefix |= r->is_start;
        l->runs[l->count++] = (struct literal_run){ (uint16_t)l->bytes, 0 };
        r->is_open = true;
    }
    l->text[l->bytes++] = r->nocase ? (char)byte_lower((unsigned char)c) : c;
    l->runs[l->count - 1].len++;
    r->is_start = false;
}

/* Takes a quantifier, if there is one. False where it cannot be read. */
static bool read_quantifier(struct reader *r, bool *is_there, bool *may_be_none)
{
    char c = peek(r, 0);
    *is_there = c && strchr("*+?{", c);
    *may_be_none = c == '*' || c == '?';
    if (!*is_there)
        return true;
    r->at++;
    if (c == '{') {
        *may_be_none = true;            /* unless there is another digit than 0 before the comma */
        bool is_upper = false;
        if (!is_digit(peek(r, 0)))
            return false;
        for (; is_digit(peek(r, 0)) || (peek(r, 0) == ',' && !is_upper); r->at++) {
            is_upper |= peek(r, 0) == ',';
            *may_be_none &= is_upper || peek(r, 0) == '0';
        }
        if (peek(r, 0) != '}')
            return false;
        r->at++;
    }
    if (is_one_of(peek(r, 0), "?+"))
        r->at++;
    return true;
}

/* A set of bytes in brackets. */
static bool skip_class(struct reader *r)
{
    r->at++;
    if (peek(r, 0) == '^')
        r->at++;
    if (peek(r, 0) == ']')
        r->at++;
    while (r->at < r->pattern.len) {
        char c = peek(r, 0);
        if (c == ']') {
            r->at++;
            return true;
        }
        if (c == '[' && is_one_of(peek(r, 1), ":.=")) {         /* [:alpha:] */
            r->at += 2;
            while (is_letter(peek(r, 0)) || peek(r, 0) == '^')
                r->at++;
            if (peek(r, 0) != ':' || peek(r, 1) != ']')
                return false;
            r->at++;
        }
        if (c == '\\' && is_one_of(peek(r, 1), "QEc"))
            return false;
        r->at += c == '\\' ? 2 : 1;
    }
    return false;
}

/* What follows "(": a group whose inside means the same as it would elsewhere. Verbs, options, comments, conditions and
 * recursion are none. */
static bool is_plain_group(const struct reader *r)
{
    if (peek(r, 1) == '*')
        return false;
    if (peek(r, 1) != '?')
        return true;
    if (is_one_of(peek(r, 2), ":=!>'<"))
        return true;
    return peek(r, 2) == 'P' && peek(r, 3) == '<';
}

static bool skip_group(struct reader *r)
{
    size_t depth = 0;
    while (r->at < r->pattern.len) {
        char c = peek(r, 0);
        if (c == '[') {
            if (!skip_class(r))
                return false;
            continue;
        }
        if (c == '\\' && is_one_of(peek(r, 1), "QEc"))
            return false;
        if (c == '(' && !is_plain_group(r))
            return false;
        depth += c == '(';
        depth -= c == ')';
        r->at += c == '\\' ? 2 : 1;
        if (depth == 0)
            return true;
    }
    return false;
}

enum item { ITEM_BYTE, ITEM_OTHER, ITEM_UNCERTAIN };

static enum item read_escape(struct reader *r, char *byte)
{
    char c = peek(r, 1);
    if (is_one_of(c, "dDwWsShHvVNRXbBzZAKG") && !(c == 'N' && peek(r, 2) == '{')) {
        r->at += 2;
        return ITEM_OTHER;
    }
    if (r->at + 1 >= r->pattern.len || is_letter(c) || is_digit(c))
        return ITEM_UNCERTAIN;
    *byte = c;
    r->at += 2;
    return ITEM_BYTE;
}

static enum item read_item(struct reader *r, char *byte)
{
    char c = r->pattern.at[r->at];
    switch (c) {
    case '|':
    case ')':
    case '*':
    case '+':
    case '?':
    case '{': return ITEM_UNCERTAIN;
    case '(': return skip_group(r) ? ITEM_OTHER : ITEM_UNCERTAIN;
    case '[': return skip_class(r) ? ITEM_OTHER : ITEM_UNCERTAIN;
    case '\\': return read_escape(r, byte);
    case '.':
    case '^':
    case '$': r->at++; return ITEM_OTHER;
    default:
        r->at++;
        *byte = c;
        return ITEM_BYTE;
    }
}

void regex_literals_find(struct slice pattern, unsigned flags, struct regex_literals *out)
{
    struct reader r = { .pattern = pattern, .out = out, .nocase = flags & REGEX_NOCASE };
    out->is_prefix = false;
    out->count = out->bytes = 0;
    if (peek(&r, 0) == '^') {
        r.is_start = true;
        r.at++;
    }
    while (r.at < pattern.len) {
        char byte = 0;
        bool is_there, may_be_none;
        enum item item = read_item(&r, &byte);
        if (item == ITEM_UNCERTAIN || !read_quantifier(&r, &is_there, &may_be_none)) {
            out->is_prefix = false;
            out->count = 0;
            return;
        }
        if (item == ITEM_BYTE && !may_be_none)
            add_byte(&r, byte);
        if (item != ITEM_BYTE || is_there)
            close_run(&r);
    }
}
