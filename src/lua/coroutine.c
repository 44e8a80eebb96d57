#include "lua/coroutine.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ticks.h"
#include "lua/report.h"
#include "lua/vm.h"

enum {
    BACKGROUND_MAX = 10000,
    SWEEP_STEP = 25, SWEEP_MS = 2,      /* KiB at a time, and how long others have the loop meanwhile */
    /* Over the budget so often in a row: this part of it is left for so long. */
    OVERRUNS_MAX = 3, OVERRUN_PART = 4, OVERRUN_MS = 1000,
    GC_PAUSE = 300,             /* percent: what lives is little, and marking it is most of what garbage costs */
};

_Thread_local struct vm *vm_of_thread;

/* -- the state -- */

static int ref_of(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static struct vm *vm_make(struct plane *plane, struct series *stats)
{
    struct vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        abort();
    vm->plane = plane;
    vm->stats = stats;
    vm->load_ref = vm->step_ref = vm->build_ref = vm->retire_ref = vm->own_ref = LUA_NOREF;
    vm->memory_full = SIZE_MAX;
    list_init(&vm->background);
    return vm;
}

/* Loads our own Lua into it, whose stack is empty. */
static bool vm_start(struct vm *vm)
{
    lua_State *L = vm->L;
    lua_newtable(L);
    lua_pushvalue(L, VM_REQUESTS);
    lua_pushcfunction(L, vm_spawn);
    lua_pushlightuserdata(L, &vm->in_hand);
    if (!vm_call(L, "tidegate.plugin.runtime", "start", 3, 1))
        return false;
    vm->load_ref = ref_of(L, "load");
    vm->step_ref = ref_of(L, "step");
    vm->build_ref = ref_of(L, "build");
    vm->retire_ref = ref_of(L, "retire");
    lua_settop(L, VM_REQUESTS);
    return true;
}

struct vm *vm_open(struct plane *plane, struct series *stats)
{
    struct vm *vm = vm_make(plane, stats);
    vm_enter(vm);
    lua_State *L = vm->L = vm_new();
    memory_begin(&vm->memory, L);
    lua_gc(L, LUA_GCSETPAUSE, GC_PAUSE);
    if (!vm_start(vm))
        abort();                        /* our own Lua does not load: it has said why */
    return vm;
}

/* Left to itself the collector waits until the heap has grown by much, and an idle loop makes no garbage at all. */
static void on_sweep(struct deadline *d)
{
    struct vm *vm = LINK_OWNER(d, struct vm, sweep);
    struct loop *loop = vm->plane->loop;
    uint64_t began_ns = clock_cpu_ns();
    bool done = lua_gc(vm->L, LUA_GCSTEP, SWEEP_STEP) != 0;
    loop_chore_done(loop, began_ns);
    if (!done)
        loop_deadline(loop, d, loop->clock.now_ms + SWEEP_MS);
}

void vm_collect(struct vm *vm)
{
    if (!vm->memory.large)
        return;                         /* whose state it is sees to that */
    vm->sweep.fire = on_sweep;
    loop_deadline(vm->plane->loop, &vm->sweep, vm->plane->loop->clock.now_ms + SWEEP_MS);
}

static void drop_coroutines(struct vm *vm)
{
    while (!list_is_empty(&vm->background))
        coroutine_drop(LINK_OWNER(vm->background.next, struct coroutine, in_list));
    vm->background_count = 0;
    while (vm->idle_count)
        coroutine_drop(vm->idle[--vm->idle_count]);
}

/* Gives back what it has in somebody else's state. */
static void let_go(struct vm *vm)
{
    int *const refs[] = { &vm->load_ref, &vm->step_ref, &vm->build_ref, &vm->retire_ref, &vm->own_ref };
    drop_coroutines(vm);
    for (unsigned i = 0; vm->L && i < sizeof refs / sizeof refs[0]; i++) {
        luaL_unref(vm->L, LUA_REGISTRYINDEX, *refs[i]);
        *refs[i] = LUA_NOREF;
    }
}

bool vm_restart(struct vm *vm, lua_State *host)
{
    let_go(vm);
    vm->L = lua_newthread(host);
    vm->own_ref = luaL_ref(host, LUA_REGISTRYINDEX);
    return vm_start(vm);
}

struct vm *vm_open_in(struct plane *plane, struct series *stats, lua_State *host)
{
    struct vm *vm = vm_make(plane, stats);
    if (vm_restart(vm, host))
        return vm;
    vm_close(vm);
    return NULL;
}

void vm_close(struct vm *vm)
{
    drop_coroutines(vm);
    deadline_remove(&vm->plane->loop->deadlines, &vm->sweep);
    if (vm->memory.large)
        vm_free(vm->L);
    else
        let_go(vm);
    memory_free(&vm->memory);
    slots_free(&vm->requests);
    slots_free(&vm->waits);
    slots_free(&vm->calls);
    free(vm);
    vm_enter(NULL);
}

/* -- coroutines -- */

static void on_timer(struct deadline *d);
static void on_resume(struct task *t);

struct coroutine *coroutine_new(struct vm *vm)
{
    struct coroutine *co = calloc(1, sizeof *co);
    if (!co)
        abort();
    co->vm = vm;
    co->L = lua_newthread(vm->L);
    co->ref = luaL_ref(vm->L, LUA_REGISTRYINDEX);
    list_init(&co->belongings);
    co->timer.fire = on_timer;
    co->resume.run = on_resume;
    return co;
}

static void end_wait(struct coroutine *co)
{
    if (!co->wait)
        return;
    slots_remove(&co->vm->waits, co->wait);
    co->wait = 0;
    deadline_remove(&co->vm->plane->loop->deadlines, &co->timer);
}

static void give_up_all(struct coroutine *co)
{
    for (struct link *l; (l = list_shift(&co->belongings));) {
        struct belonging *b = LINK_OWNER(l, struct belonging, in_coroutine);
        b->give_up(b);
    }
}

void coroutine_tidy(struct coroutine *co)
{
    end_wait(co);
    give_up_all(co);
}

void coroutine_drop(struct coroutine *co)
{
    end_wait(co);
    give_up_all(co);
    link_remove(&co->in_list);
    link_remove(&co->resume.in_ready);
    luaL_unref(co->vm->L, LUA_REGISTRYINDEX, co->ref);
    free(co);
}

/* -- time -- */

static inline void note_busy(struct vm *vm, uint32_t slot)
{
    atomic_store_explicit(&vm->busy_slot, slot, memory_order_relaxed);
}

/* The hook that ran is over. */
static inline void account_end(struct coroutine *co, uint64_t now)
{
    struct hook_stat *s = co->stat;
    if (!s)
        return;
    hook_stat_add(&s->cpu_ticks, now - co->hook_ticks);
    if (s->overruns && !co->overran)
        s->overruns = 0;
}

void coroutine_account(struct coroutine *co, uint32_t slot)
{
    uint64_t now = ticks_now();
    account_end(co, now);
    note_busy(co->vm, slot);
    coroutine_begin(co, slot, slot ? hook_stat_at(co->vm->stats, slot) : NULL, now);
}

/* The last hook of a chain is over. */
static inline void end_hook(struct coroutine *co)
{
    account_end(co, ticks_now());
    co->slot = 0;
    co->stat = NULL;
}

static void account_wait(struct coroutine *co)
{
    uint64_t now = ticks_now();
    if (co->stat)
        hook_stat_add(&co->stat->wait_ticks, now - co->wait_ticks);
    co->hook_ticks = now;
}

static void account_yield(struct coroutine *co)
{
    uint64_t now = ticks_now();
    if (co->stat)
        hook_stat_add(&co->stat->cpu_ticks, now - co->hook_ticks);
    co->spent_ticks += now - co->hook_ticks;
    co->cpu_mark_ns = 0;
    co->wait_ticks = now;
}

static uint64_t budget_ns(const struct coroutine *co, const struct hook_stat *s)
{
    bool is_short = s->overruns >= OVERRUNS_MAX && clock_us() / 1000 - s->overrun_ms < OVERRUN_MS;
    return is_short ? co->vm->budget_ns / OVERRUN_PART : co->vm->budget_ns;
}

static void note_overrun(struct coroutine *co, struct hook_stat *s)
{
    if (co->overran)
        return;                         /* it has caught the error, and goes on */
    co->overran = true;
    s->overruns++;
    s->overrun_ms = clock_us() / 1000;
}

/* The clock on the wall is cheap, that of the thread is a system call: it is asked once the other says that half of the
 * budget may be gone, and then has the last word about the other half. */
bool coroutine_budget_left(struct coroutine *co)
{
    struct hook_stat *s = hook_stat_at(co->vm->stats, co->slot);
    uint64_t half = budget_ns(co, s) / 2;
    if (!half || ticks_to_ns(co->spent_ticks + ticks_now() - co->hook_ticks) < (double)half)
        return true;
    if (!co->cpu_mark_ns) {
        co->cpu_mark_ns = clock_cpu_ns();
        return true;
    }
    if (clock_cpu_ns() - co->cpu_mark_ns < half)
        return true;
    note_overrun(co, s);
    return false;
}

/* -- running -- */

double coroutine_wait(struct coroutine *co, double ms)
{
    end_wait(co);
    co->wait = slots_add(&co->vm->waits, co);
    co->timed_out = false;
    if (co->wait && ms >= 0) {
        struct loop *loop = co->vm->plane->loop;
        /* Not by the loop's cached time: a sleep must not end early. */
        uint64_t from_ms = (clock_us() + 999) / 1000;
        loop_deadline(loop, &co->timer, from_ms + (ms < 1e12 ? (uint64_t)(ms + 0.999) : (uint64_t)1e12));
    }
    return co->wait;
}

/* The collector waits until the heap has grown to a multiple of itself. Near the ceiling that is too long. */
static void collect(struct vm *vm)
{
    lua_gc(vm->L, LUA_GCCOLLECT, 0);
    size_t near = vm->memory.max / 4 * 3, again = vm->memory.used / 10 * 11;
    vm->memory_full = again > near ? again : near;
}

static inline void collect_if_full(struct vm *vm)
{
    if (atomic_load_explicit(&vm->memory.used, memory_order_relaxed) >= vm->memory_full)
        collect(vm);
}

void vm_bound(struct vm *vm, size_t max)
{
    if (max == vm->memory.max)
        return;
    vm->memory.max = max;
    vm->memory_full = max ? max / 4 * 3 : SIZE_MAX;
}

/* One writer: no locked instruction is needed. */
static void note_entry(struct vm *vm)
{
    uint64_t n = atomic_load_explicit(&vm->entries, memory_order_relaxed);
    atomic_store_explicit(&vm->entries, n + 1, memory_order_relaxed);
}

/* Neither is inlined: most hooks run through, and should not pay for what these need. */
__attribute__((noinline)) static enum rc yielded(struct coroutine *co)
{
    account_yield(co);
    lua_settop(co->L, 0);
    if (!co->wait) {
        report_text(co, "yields although it waits for nothing");
        return RC_INTERNAL;
    }
    co->state = COROUTINE_WAITS;
    return RC_AGAIN;
}

__attribute__((noinline)) static enum rc failed(struct coroutine *co)
{
    if (co->stat)
        hook_stat_add(&co->stat->errors, 1);
    report_failure(co);
    end_hook(co);
    lua_settop(co->L, 0);
    collect_if_full(co->vm);
    return RC_INTERNAL;
}

enum rc coroutine_run(struct coroutine *co, int args)
{
    struct vm *vm = co->vm;
    struct coroutine *outer = vm->current;
    if (co->wait_ticks) {
        account_wait(co);
        co->wait_ticks = 0;
        end_wait(co);
    }
    vm->current = co;
    note_busy(vm, co->slot);
    co->state = COROUTINE_RUNS;
    if (!outer)
        note_entry(vm);
    vm->memory.is_bounded = true;
    int status = lua_resume(co->L, args);
    vm->memory.is_bounded = outer != NULL;
    vm->current = outer;
    if (outer)
        note_busy(vm, outer->slot);
    else
        note_entry(vm);
    if (status != 0)
        return status == LUA_YIELD ? yielded(co) : failed(co);
    end_hook(co);
    collect_if_full(vm);
    return RC_OK;
}

static void ready(struct coroutine *co)
{
    co->state = COROUTINE_READY;
    loop_ready(co->vm->plane->loop, co->x ? &co->x->wake : &co->resume);
}

void coroutine_wake(struct vm *vm, double wait)
{
    struct coroutine *co = slots_get(&vm->waits, wait);
    if (!co)
        return;
    co->timed_out = false;
    end_wait(co);
    ready(co);
}

static void on_timer(struct deadline *d)
{
    struct coroutine *co = LINK_OWNER(d, struct coroutine, timer);
    co->timed_out = true;
    end_wait(co);
    ready(co);
}

/* -- in the background -- */

static void on_resume(struct task *t)
{
    struct coroutine *co = LINK_OWNER(t, struct coroutine, resume);
    int args = co->args;
    co->args = 0;
    switch (coroutine_run(co, args)) {
    case RC_OK:
        co->vm->background_count--;
        link_remove(&co->in_list);
        lua_settop(co->L, 0);
        coroutine_give(co);
        break;
    case RC_AGAIN: break;
    default:
        co->vm->background_count--;
        coroutine_drop(co);
        break;
    }
}

/* Whose task it is: that of the hook that starts it, or of the plugins that are being loaded. */
static struct generation *generation_in_hand(const struct vm *vm)
{
    const struct coroutine *co = vm->current;
    return co ? coroutine_generation(co) : vm->loading;
}

/* Work in the background is counted under a name of its own, that of the plugin which has started it. */
static uint32_t background_slot(uint32_t slot)
{
    struct label l;
    if (!labels_get(&hook_labels, slot, &l))
        return 0;
    l.words[HOOK_NAME] = SLICE_OF("background");
    return labels_number(&hook_labels, &l);
}

int vm_spawn(lua_State *L)
{
    struct vm *vm = vm_here();
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!vm)
        return 0;                       /* plugins are checked in a spec's state: it would never run */
    struct generation *g = generation_in_hand(vm);
    if (!g)
        return luaL_error(L, "a task can only be started by a plugin");
    if (vm->background_count == BACKGROUND_MAX)
        return luaL_error(L, "more than %d tasks are running in the background", BACKGROUND_MAX);
    struct coroutine *co = coroutine_take(vm);
    co->args = lua_gettop(L) - 1;
    lua_xmove(L, co->L, co->args + 1);
    co->generation = g;
    co->may_wait = true;
    co->slot = background_slot(vm->current ? vm->current->slot : vm->loading_slot);
    co->stat = co->slot ? hook_stat_at(vm->stats, co->slot) : NULL;
    co->hook_ticks = ticks_now();
    co->wait_ticks = 0;
    vm->background_count++;
    list_append(&vm->background, &co->in_list);
    ready(co);
    return 0;
}

void vm_end_background(struct vm *vm, const struct generation *g)
{
    for (struct link *l = vm->background.next, *next; l != &vm->background; l = next) {
        struct coroutine *co = LINK_OWNER(l, struct coroutine, in_list);
        next = l->next;
        if (co->generation != g)
            continue;
        vm->background_count--;
        coroutine_drop(co);
    }
}
