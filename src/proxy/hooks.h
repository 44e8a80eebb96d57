#pragma once
/* hooks: what a chain of plugins looks like from C. The exchange runs a chain where its generation or route has one;
 * the bridge to Lua (lua/chains) fills in struct hooks. Without plugins nothing here is called.
 *
 * A chain may wait. Then the exchange is woken when it can go on, and asks again for the same hook. At most two chains
 * of an exchange are under way at a time: one in the main line, and request_body beside it; of a WebSocket, one for
 * each direction. */
#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/slice.h"

struct exchange;
struct generation;
struct plane;
struct ws_message;

/* In this order in bit masks and in lua/tidegate/plugin. HOOK_MESSAGE is for messages of clients; where a chain has it,
 * it has HOOK_MESSAGE_BACK, too, for those of upstreams. */
enum hook {
    HOOK_REQUEST, HOOK_REQUEST_BODY, HOOK_UPSTREAM, HOOK_RESPONSE, HOOK_RESPONSE_BODY, HOOK_MESSAGE, HOOK_FAILURE,
    HOOK_LOG, HOOK_WS_OPEN, HOOK_WS_CLOSE, HOOK_MESSAGE_BACK, HOOK_COUNT,
};

#define HOOK_BIT(hook) (1u << (hook))

enum chain_line { LINE_MAIN, LINE_REQUEST_BODY, LINE_COUNT };

struct hooks {
    /* Makes room for plugins in the loop of p, where there is none yet. In any thread: the first prepare of that loop
     * has not been called. */
    void (*open)(struct plane *p);
    /* Loads the plugins of g into the loop of p, as many as can be loaded at a time without keeping requests waiting.
     * RC_OK: that was all. RC_AGAIN: call again. Else with the reason: g must not be published. */
    enum rc (*prepare)(struct plane *p, struct generation *g, char *why, size_t size);
    /* The last request of g on this loop is done. */
    void (*retire)(struct plane *p, struct generation *g);
    /* Runs or continues the chain of a hook in the main line. RC_OK: it is through; x->replied says whether a plugin
     * made a reply. RC_AGAIN: it waits. RC_INTERNAL: it failed, and that was logged. HOOK_LOG and
     * HOOK_WS_CLOSE never wait. */
    enum rc (*run)(struct exchange *x, enum hook hook);
    /* A chunk through HOOK_REQUEST_BODY or HOOK_RESPONSE_BODY. RC_OK: *chunk is what is to be sent, a view until the
     * next call for the same hook (or the very slice that was given). RC_AGAIN: ask again; chunk and last count at the
     * first call only. */
    enum rc (*filter)(struct exchange *x, enum hook hook, struct slice *chunk, bool last);
    /* A message of a WebSocket, plain, through HOOK_MESSAGE or HOOK_MESSAGE_BACK. RC_OK: m->verdict and m->changed say
     * what becomes of it, a view until the next call for the same hook. RC_AGAIN: ask again; data counts at the first
     * call only. RC_INTERNAL: it failed, and that was logged. */
    enum rc (*message)(struct exchange *x, enum hook hook, struct slice data, struct ws_message *m);
    /* The body that the main line's chain waits for is there, or is over its limit: it can go on. */
    void (*gathered)(struct exchange *x);
    /* Whatever chain is under way is given up: its coroutine is never resumed. */
    void (*cancel)(struct exchange *x);
    /* The exchange ends: plugins can no longer reach it. */
    void (*end)(struct exchange *x);
};
