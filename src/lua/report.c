#include "lua/report.h"

#include <lauxlib.h>
#include <stdio.h>

#include "base/log.h"

enum { TEXT_MAX = 1500 };

static bool is_due(const struct coroutine *co, const char *text, uint64_t *left_out)
{
    uint32_t key = 2166136261u ^ co->slot;
    for (const char *c = text; *c && *c != '\n' && c - text < 200; c++)
        key = (key ^ (unsigned char)*c) * 16777619u;
    struct report_site *s = &co->vm->report_sites[key % REPORT_SITES];
    uint64_t second = co->vm->plane->loop->clock.now_ms / 1000;
    if (s->key == key && s->second == second) {
        s->left_out++;
        return false;
    }
    *left_out = s->key == key ? s->left_out : 0;
    *s = (struct report_site){ key, second, 0 };
    return true;
}

/* A traceback is a text of many lines; a log event is one. */
static void join_lines(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (const char *c = text; *c && n + 4 < size; c++) {
        if (*c == '\n') {
            memcpy(out + n, " | ", 3);
            n += 3;
            while (c[1] == '\t' || c[1] == ' ')
                c++;
        } else {
            out[n++] = *c;
        }
    }
    out[n] = 0;
}

void report_text(struct coroutine *co, const char *text)
{
    uint64_t left_out;
    struct label l = { 0 };
    if (co->vm->on_failure)
        co->vm->on_failure(co->vm, co, text);
    if (!is_due(co, text, &left_out))
        return;
    char line[TEXT_MAX];
    join_lines(line, sizeof line, text);
    (void)labels_get(&hook_labels, co->slot, &l);       /* unknown: nothing to name */
    const char *hook = co->x || !l.words[HOOK_NAME].at ? l.words[HOOK_NAME].at : "background";
    log_error("plugin", line, "plugin", l.words[HOOK_INSTANCE].at, "hook", hook, "route",
              l.words[HOOK_ROUTE].len ? l.words[HOOK_ROUTE].at : NULL, "request",
              co->x ? log_slice(co->x->id) : NULL, "left_out", left_out ? log_number(left_out) : NULL);
}

void report_failure(struct coroutine *co)
{
    lua_State *L = co->vm->L;
    const char *text = lua_tostring(co->L, -1);
    luaL_traceback(L, co->L, text ? text : "an error that is no text", 0);
    report_text(co, lua_tostring(L, -1));
    lua_pop(L, 1);
}

void report_where(const struct vm *vm, char *out, size_t size)
{
    enum { LEVELS = 12, ROOM = 160 };
    lua_Debug d;
    size_t n = 0;
    out[0] = 0;
    for (int level = 0; vm->current && level < LEVELS && n + ROOM < size; level++) {
        if (!lua_getstack(vm->current->L, level, &d) || !lua_getinfo(vm->current->L, "Sl", &d))
            return;
        if (d.currentline <= 0)
            continue;
        int more = snprintf(out + n, size - n, "%s%s:%d", n ? " | " : "", d.short_src, d.currentline);
        n += more > 0 ? (size_t)more : 0;
    }
}
