#pragma once
/* coroutine: the Lua of one loop, and the recycled coroutines that run in it: one per chain that is under way, one per
 * task in the background. A coroutine that waits has told here what for (tide_wait), and yields; whoever has news for
 * it calls coroutine_wake with the number of that wait, and it is resumed from the loop, never in place. */
#include <lua.h>

#include "base/slots.h"
#include "lua/memory.h"
#include "proxy/exchange.h"
#include "proxy/hook_stats.h"

enum coroutine_state { COROUTINE_IDLE, COROUTINE_RUNS, COROUTINE_WAITS, COROUTINE_READY };

enum { VM_REQUESTS = 1, IDLE_MAX = 256 };

/* Where an error was reported, and in which second. Two that fall on one place only make each other louder. */
struct report_site { uint32_t key; uint64_t second, left_out; };
enum { REPORT_SITES = 64 };

struct vm {                             /* the Lua of one loop */
    lua_State *L;                       /* on its stack, at VM_REQUESTS: what is kept of requests, by place */
    struct plane *plane;
    struct slots requests;              /* struct exchange that plugins have seen */
    struct slots waits;                 /* struct coroutine by the wait it is in */
    struct slots calls;                 /* struct http_call: requests of plugins' own that are under way */
    uint32_t call_count;
    struct coroutine *idle[IDLE_MAX];   /* the one that ran last at the end */
    uint32_t idle_count, background_count;
    struct link background;             /* struct coroutine.in_list */
    struct generation *loading;         /* whose plugins are being loaded right now */
    uint32_t loading_slot;              /* ... and the number of hook_labels of the one whose new runs */
    struct coroutine *current;          /* the innermost that runs */
    double in_hand;                     /* number of the request whose chain is about to begin: Lua reads it here */
    struct series *stats;               /* struct hook_stat */
    struct memory memory;               /* not begun: the state is somebody else's */
    size_t memory_full;                 /* from here on all of it is collected; SIZE_MAX: never */
    struct deadline sweep;              /* the next step of vm_collect */
    int build_ref, load_ref, step_ref, retire_ref;      /* functions of tidegate.plugin.runtime */
    int own_ref;                        /* registry: keeps L in somebody else's state */
    void (*on_failure)(struct vm *vm, const struct coroutine *co, const char *text);    /* NULL, or hears of errors */
    uint64_t budget_ns;                 /* CPU time of one hook */
    struct report_site report_sites[REPORT_SITES];
    _Atomic uint64_t entries;           /* of Lua, and returns: odd while it runs. For the watchdog */
    _Atomic uint32_t busy_slot;         /* ... and whose hook */
};

/* What is given up with a coroutine that ends or is dropped: a request that it has begun. */
struct belonging {                      /* all zero: nobody's */
    struct link in_coroutine;           /* coroutine.belongings */
    void (*give_up)(struct belonging *b);
};

struct coroutine {
    lua_State *L;
    int ref;                            /* registry: keeps L */
    struct vm *vm;
    struct exchange *x;                 /* whose chain it runs; NULL: background */
    struct generation *generation;      /* background: ends with it */
    double wait;                        /* number of the wait it is in; 0: none */
    struct link in_list;                /* vm.background */
    struct link belongings;
    struct task resume;                 /* background only */
    struct deadline timer;
    uint8_t state;                      /* enum coroutine_state */
    uint8_t hook, line;
    int args;                           /* background: on L, for its first run */
    bool may_wait, timed_out;
    bool overran;                       /* the current hook is over its budget */
    uint32_t slot;                      /* of the plugin whose hook runs; 0: none */
    struct hook_stat *stat;             /* what is counted there; NULL: nothing */
    uint64_t hook_ticks, wait_ticks;    /* when the current hook began or went on; when the wait began. 0: none */
    uint64_t spent_ticks;               /* of the current hook, before its last wait */
    uint64_t cpu_mark_ns;               /* CPU time of the thread when the hook was first suspected; 0: not yet */
};

/* Whose plugins it runs. */
static inline struct generation *coroutine_generation(const struct coroutine *co)
{
    return co->x ? co->x->generation : co->generation;
}

/* The Lua of a loop, with tidegate.plugin.runtime loaded. Never NULL. In the loop's thread, as all that follows. */
struct vm *vm_open(struct plane *plane, struct series *stats);
/* The same in a state that has another owner, for specs: its memory has no bound, and it is not closed. It is not the
 * calling thread's before vm_enter. NULL: our own Lua does not load, which was logged. */
struct vm *vm_open_in(struct plane *plane, struct series *stats, lua_State *host);
/* Loads our own Lua once more, as package.loaded has it now. All generations must be retired. False: it does not. */
bool vm_restart(struct vm *vm, lua_State *host);
void vm_close(struct vm *vm);
/* Something large has become garbage: it is collected soon, in small steps between requests. */
void vm_collect(struct vm *vm);
/* How much memory its Lua may have; 0: no bound. */
void vm_bound(struct vm *vm, size_t max);

extern _Thread_local struct vm *vm_of_thread;          /* private: read it by vm_here */
/* That of the calling thread, or NULL. */
static inline struct vm *vm_here(void) { return vm_of_thread; }
/* Makes it the calling thread's. */
static inline void vm_enter(struct vm *vm) { vm_of_thread = vm; }

struct coroutine *coroutine_new(struct vm *vm);        /* private: the slow path of coroutine_take */
/* An idle coroutine with an empty stack. */
static inline struct coroutine *coroutine_take(struct vm *vm)
{
    return vm->idle_count ? vm->idle[--vm->idle_count] : coroutine_new(vm);
}
/* Forgets one that waits or failed: it is never resumed. */
void coroutine_drop(struct coroutine *co);
/* Private: ends what it began and did not wait for. */
void coroutine_tidy(struct coroutine *co);
/* Gives one back that has ended well, and whose stack is empty again. */
static inline void coroutine_give(struct coroutine *co)
{
    struct vm *vm = co->vm;
    if (co->wait || !list_is_empty(&co->belongings))
        coroutine_tidy(co);
    if (vm->idle_count == IDLE_MAX) {
        coroutine_drop(co);
        return;
    }
    co->state = COROUTINE_IDLE;
    co->x = NULL;
    vm->idle[vm->idle_count++] = co;
}
/* Starts (function and arguments are on co->L) or goes on. RC_OK: its results are on co->L; RC_AGAIN: it waits;
 * RC_INTERNAL: an error, logged; it must be dropped. */
enum rc coroutine_run(struct coroutine *co, int args);
/* The wait of that number is over; nothing where it was over before. */
void coroutine_wake(struct vm *vm, double wait);

/* It is going to yield, until coroutine_wake or after ms milliseconds (negative: no limit). The number of the wait; 0
 * when too many wait. */
double coroutine_wait(struct coroutine *co, double ms);

/* Whether the hook has CPU time left. Time that it waited, or that the thread did not get, does not count. Who was over
 * the budget several times in a row has a part of it for a while: a plugin that always loops must not take all of the
 * loop. */
bool coroutine_budget_left(struct coroutine *co);
/* A hook begins where none ran; it is counted in stat, unless that is NULL. now: by base/ticks. */
static inline void coroutine_begin(struct coroutine *co, uint32_t slot, struct hook_stat *stat, uint64_t now)
{
    co->slot = slot;
    co->stat = stat;
    co->overran = false;
    co->hook_ticks = now;
    co->spent_ticks = 0;
    co->cpu_mark_ns = 0;
    if (stat)
        hook_stat_add(&stat->calls, 1);
}
/* The time since the last call belongs to the hook that ran; that of `slot` begins. */
void coroutine_account(struct coroutine *co, uint32_t slot);

/* Starts the function on top of L (it is taken off) as a task in the background of the generation in hand. */
int vm_spawn(lua_State *L);
/* Ends the background tasks of g. */
void vm_end_background(struct vm *vm, const struct generation *g);
