#include "lua/chains.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ticks.h"
#include "http/ws_relay.h"

static struct vm *vm_of(const struct exchange *x) { return x->plane->vm; }

enum { SLICE_US = 300 };                /* of loading, before others have the loop */

/* -- generations -- */

struct function {                       /* of a chain and hook */
    int ref;                            /* registry; 0: not made yet */
    uint32_t slot;                      /* of the hook that it begins with; 0: it tells itself */
    struct hook_stat *stat;             /* ... where that is counted */
};

struct loaded {                         /* the plugins of a generation in one loop */
    int ref;                            /* registry: what tidegate.plugin.runtime knows of them, so far */
    struct function functions[];        /* by chain and hook */
};

static void open(struct plane *p)
{
    if (p->vm)
        return;
    p->vm = vm_open(p, &p->hook_stats);
    vm_enter(NULL);
}

/* Calls a function of the runtime with the value on top, which its result takes the place of. False: that is what went
 * wrong. */
static bool call_loading(struct vm *vm, struct generation *g, int function)
{
    lua_State *L = vm->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_insert(L, -2);
    vm->loading = g;
    vm->memory.is_bounded = true;
    bool good = lua_pcall(L, 1, 1, 0) == 0;
    vm->memory.is_bounded = false;
    vm->loading = NULL;
    return good;
}

static enum rc fail_loading(struct vm *vm, struct generation *g, char *why, size_t size)
{
    lua_State *L = vm->L;
    struct loaded *l = g->users[vm->plane->index].plugins;
    const char *text = lua_tostring(L, -1) ? lua_tostring(L, -1) : "an error that is no text";
    if (strstr(text, "not enough memory"))
        snprintf(why, size, "%s: all plugins of a loop may take %zu MiB together (lua.memory)\n", text,
                 vm->memory.max >> 20);
    else
        snprintf(why, size, "%s\n", text);
    lua_pop(L, 1);
    vm_end_background(vm, g);
    luaL_unref(L, LUA_REGISTRYINDEX, l->ref);
    free(l);
    g->users[vm->plane->index].plugins = NULL;
    return RC_INTERNAL;
}

static enum rc begin_loading(struct vm *vm, struct generation *g, char *why, size_t size)
{
    struct loaded *l = calloc(1, sizeof *l + (g->route_count + 1) * HOOK_COUNT * sizeof l->functions[0]);
    if (!l)
        abort();
    l->ref = LUA_NOREF;
    g->users[vm->plane->index].plugins = l;
    vm_bound(vm, g->gateway.lua_memory);
    vm->budget_ns = (uint64_t)g->gateway.lua_budget_ms * 1000000;
    lua_pushlstring(vm->L, g->plugins.at, g->plugins.len);
    if (!call_loading(vm, g, vm->load_ref))
        return fail_loading(vm, g, why, size);
    l->ref = luaL_ref(vm->L, LUA_REGISTRYINDEX);
    return RC_AGAIN;
}

static enum rc prepare(struct plane *p, struct generation *g, char *why, size_t size)
{
    struct vm *vm = p->vm;
    const struct loaded *l = g->users[p->index].plugins;
    uint64_t began_us = clock_us();
    vm_enter(vm);
    if (!l)
        return begin_loading(vm, g, why, size);
    do {
        lua_rawgeti(vm->L, LUA_REGISTRYINDEX, l->ref);
        if (!call_loading(vm, g, vm->step_ref))
            return fail_loading(vm, g, why, size);
        bool done = lua_toboolean(vm->L, -1);
        lua_pop(vm->L, 1);
        if (done)
            return RC_OK;
    } while (clock_us() - began_us < SLICE_US);
    return RC_AGAIN;
}

static void retire(struct plane *p, struct generation *g)
{
    struct vm *vm = p->vm;
    lua_State *L = vm->L;
    struct loaded *l = g->users[p->index].plugins;
    if (!l)
        return;
    vm_end_background(vm, g);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->retire_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->ref);
    if (lua_pcall(L, 1, 0, 0) != 0) {
        log_error("plugin", lua_tostring(L, -1) ? lua_tostring(L, -1) : "close() failed");
        lua_pop(L, 1);
    }
    for (uint32_t i = 0; i < (g->route_count + 1) * HOOK_COUNT; i++)
        if (l->functions[i].ref)
            luaL_unref(L, LUA_REGISTRYINDEX, l->functions[i].ref);
    luaL_unref(L, LUA_REGISTRYINDEX, l->ref);
    free(l);
    g->users[p->index].plugins = NULL;
    vm_collect(vm);
}

/* -- running -- */

/* The function of a chain and hook is made when it is first needed. Not inlined, since that is once. */
__attribute__((noinline)) static bool make_function(struct vm *vm, const struct loaded *l, uint32_t chain,
                                                    enum hook hook, struct function *f)
{
    lua_State *L = vm->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->build_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->ref);
    lua_pushinteger(L, (lua_Integer)chain);
    lua_pushinteger(L, hook);
    if (lua_pcall(L, 3, 2, 0) == 0) {
        f->slot = (uint32_t)lua_tointeger(L, -1);
        f->stat = hook_stat_at(vm->stats, f->slot);
        lua_pop(L, 1);
        f->ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return true;
    }
    log_error("plugin", lua_tostring(L, -1) ? lua_tostring(L, -1) : "a chain cannot be built");
    lua_pop(L, 1);
    return false;
}

static inline bool push_function(struct vm *vm, struct coroutine *co, const struct exchange *x, enum hook hook)
{
    struct loaded *l = x->generation->users[x->plane->index].plugins;
    struct function *f = &l->functions[x->chain * HOOK_COUNT + hook];
    if (!f->ref && !make_function(vm, l, x->chain, hook, f))
        return false;
    lua_rawgeti(co->L, LUA_REGISTRYINDEX, f->ref);
    if (f->slot)
        coroutine_begin(co, f->slot, f->stat, ticks_now());
    return true;
}

/* A coroutine with the chain's function. The number of the request is where that looks for it. */
__attribute__((always_inline)) static inline struct coroutine *begin(struct exchange *x, enum hook hook,
                                                                     enum chain_line line)
{
    struct vm *vm = vm_of(x);
    if (!x->number && !(x->number = slots_add(&vm->requests, x)))
        return NULL;
    struct coroutine *co = coroutine_take(vm);
    co->x = x;
    co->hook = (uint8_t)hook;
    co->line = (uint8_t)line;
    co->may_wait = hook != HOOK_LOG && hook != HOOK_WS_CLOSE;
    if (!push_function(vm, co, x, hook)) {
        coroutine_give(co);
        return NULL;
    }
    vm->in_hand = x->number;
    return co;
}

static enum rc go_on(struct exchange *x, struct coroutine *co, int args)
{
    enum rc rc = coroutine_run(co, args);
    switch (rc) {
    case RC_AGAIN: x->lines[co->line] = co; break;
    case RC_OK: x->lines[co->line] = NULL; break;
    default:
        x->lines[co->line] = NULL;
        coroutine_drop(co);
        break;
    }
    return rc;
}

static enum rc run(struct exchange *x, enum hook hook)
{
    struct coroutine *co = x->lines[LINE_MAIN];
    if (co && co->state != COROUTINE_READY)
        return RC_AGAIN;
    if (!co) {
        co = begin(x, hook, LINE_MAIN);
        if (!co)
            return RC_INTERNAL;
    }
    enum rc rc = go_on(x, co, 0);
    if (rc == RC_OK)
        coroutine_give(co);             /* such a chain gives nothing */
    return rc;
}

/* As run, in a line of its own, with a text and a flag. On RC_OK *co holds what the chain gave, and is to be given
 * back. */
static enum rc run_with_text(struct exchange *x, enum hook hook, enum chain_line line, struct slice text, bool flag,
                             struct coroutine **co)
{
    int args = 0;
    *co = x->lines[line];
    if (*co && (*co)->state != COROUTINE_READY)
        return RC_AGAIN;
    if (!*co) {
        *co = begin(x, hook, line);
        args = 2;
        if (!*co)
            return RC_INTERNAL;
        lua_pushlstring((*co)->L, text.len ? text.at : "", text.len);
        lua_pushboolean((*co)->L, flag);
    }
    return go_on(x, *co, args);
}

/* The text lives until the next one of this line. */
static enum rc keep_text(struct exchange *x, const struct coroutine *co, struct slice text, struct slice *kept)
{
    struct buf *out = &x->filtered[co->line];
    buf_reset(out);
    out->max = UINT32_MAX;              /* the memory that Lua may have is the bound */
    enum rc rc = buf_append(out, text);
    *kept = buf_slice(out);
    return rc;
}

/* What the chain of a body hook gave: whether nothing was changed, and the text to send. */
static enum rc take_chunk(struct exchange *x, struct coroutine *co, bool is_first, struct slice *chunk)
{
    size_t len;
    const char *text = lua_tolstring(co->L, -1, &len);
    if (!text)
        return RC_INTERNAL;             /* the chain checks what a hook gives: cannot be */
    if (lua_toboolean(co->L, -2) && is_first)
        return RC_OK;
    return keep_text(x, co, slice_make(text, len), chunk) == RC_OK ? RC_OK : RC_INTERNAL;
}

static enum rc filter(struct exchange *x, enum hook hook, struct slice *chunk, bool last)
{
    enum chain_line line = hook == HOOK_REQUEST_BODY ? LINE_REQUEST_BODY : LINE_MAIN;
    bool is_first = !x->lines[line];
    struct coroutine *co;
    enum rc rc = run_with_text(x, hook, line, *chunk, last, &co);
    if (rc == RC_OK) {
        rc = take_chunk(x, co, is_first, chunk);
        lua_settop(co->L, 0);
        coroutine_give(co);
    }
    return rc;
}

/* What the chain of a message gave: nothing, false, or another text and whether that is binary. */
static void take_message(struct exchange *x, struct coroutine *co, struct ws_message *m)
{
    size_t len;
    const char *text = lua_tolstring(co->L, -2, &len);
    if (!text) {
        m->verdict = lua_isnil(co->L, -2) ? WS_PASS : WS_DROP;
        return;
    }
    (void)keep_text(x, co, slice_make(text, len), &m->changed);     /* so much fits */
    m->verdict = WS_CHANGE;
    m->opcode = lua_toboolean(co->L, -1) ? WS_BINARY : WS_TEXT;
}

static enum rc message(struct exchange *x, enum hook hook, struct slice data, struct ws_message *m)
{
    enum chain_line line = hook == HOOK_MESSAGE ? LINE_REQUEST_BODY : LINE_MAIN;
    struct coroutine *co;
    enum rc rc = run_with_text(x, hook, line, data, m->opcode == WS_BINARY, &co);
    if (rc == RC_OK) {
        take_message(x, co, m);
        lua_settop(co->L, 0);
        coroutine_give(co);
    }
    return rc;
}

struct exchange *chains_other(double number)
{
    const struct vm *vm = vm_here();
    return vm ? slots_get(&vm->requests, number) : NULL;
}

/* -- endings -- */

static void gathered(struct exchange *x)
{
    struct coroutine *co = x->lines[LINE_MAIN];
    if (co)
        coroutine_wake(co->vm, co->wait);
}

static void cancel(struct exchange *x)
{
    for (int i = 0; i < LINE_COUNT; i++)
        if (x->lines[i]) {
            coroutine_drop(x->lines[i]);
            x->lines[i] = NULL;
        }
}

static void end(struct exchange *x)
{
    struct vm *vm = vm_of(x);
    cancel(x);
    if (!x->number)
        return;
    if (x->keeps) {
        lua_pushnil(vm->L);
        lua_rawseti(vm->L, VM_REQUESTS, (int)slot_place(x->number) + 1);
        x->keeps = false;
    }
    slots_remove(&vm->requests, x->number);
    x->number = 0;
}

const struct hooks chains = {
    .open = open,
    .prepare = prepare,
    .retire = retire,
    .run = run,
    .filter = filter,
    .message = message,
    .gathered = gathered,
    .cancel = cancel,
    .end = end,
};
