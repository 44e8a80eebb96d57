#include "lua/memory.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

struct memory_block { struct memory_block *next; };

static inline size_t class_of(size_t size) { return (size + MEMORY_STEP - 1) / MEMORY_STEP; }

static inline bool is_small(const struct memory *m, const void *at)
{
    return (uintptr_t)at - (uintptr_t)m->pool < MEMORY_POOL;
}

static inline void *take(struct memory *m, size_t size)
{
    if (size <= MEMORY_SMALL) {
        size_t class = class_of(size);
        struct memory_block *b = m->free[class];
        if (b) {
            m->free[class] = b->next;
            return b;
        }
        if (m->pool && (size_t)(m->pool + MEMORY_POOL - m->next) >= MEMORY_SMALL) {
            char *at = m->next;
            m->next += class * MEMORY_STEP;
            return at;
        }
    }
    return m->large(m->large_owner, NULL, 0, size);
}

static inline void give(struct memory *m, void *at, size_t size)
{
    struct memory_block *b = at;
    b->next = m->free[class_of(size)];
    m->free[class_of(size)] = b;
}

static void *resize(struct memory *m, void *at, size_t old, size_t new)
{
    if (!is_small(m, at))
        return m->large(m->large_owner, at, old, new);
    if (class_of(old) == class_of(new))
        return at;
    void *to = take(m, new);
    if (to) {
        memcpy(to, at, old < new ? old : new);
        give(m, at, old);
    }
    return to;
}

/* Above the bound Lua raises "not enough memory" in the plugin that runs. What the bridge itself needs it gets. */
static void *allocate(void *owner, void *at, size_t old, size_t new)
{
    struct memory *m = owner;
    size_t then = atomic_load_explicit(&m->used, memory_order_relaxed) - old + new;
    void *to = NULL;
    if (!new) {
        if (at && is_small(m, at))
            give(m, at, old);
        else if (at)
            to = m->large(m->large_owner, at, old, 0);
    } else {
        if (new > old && m->is_bounded && m->max && m->max < then)
            return NULL;
        to = at ? resize(m, at, old, new) : take(m, new);
        if (!to)
            return NULL;
    }
    atomic_store_explicit(&m->used, then, memory_order_relaxed);
    return to;
}

void memory_begin(struct memory *m, lua_State *L)
{
    m->large = lua_getallocf(L, &m->large_owner);
    m->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    m->pool = mmap(NULL, MEMORY_POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->pool == MAP_FAILED)
        m->pool = NULL;                 /* all is large, then */
    m->next = m->pool;
    lua_setallocf(L, allocate, m);
}

void memory_free(struct memory *m)
{
    if (m->pool)
        (void)munmap(m->pool, MEMORY_POOL);     /* it was ours: cannot fail */
    m->pool = NULL;
}
