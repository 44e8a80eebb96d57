/* status: how the gateway is, in numbers. Control thread. */
#include <stdlib.h>
#include <unistd.h>

#include "base/regex.h"
#include "base/ticks.h"
#include "lua/coroutine.h"
#include "run/control_state.h"

/* Loops that are told to end give their Lua back: while the gateway stops nobody looks. */
static void add_lua_memory(const struct control *c, struct tide_status *out)
{
    for (uint32_t i = 0; !c->cut_ms && i < c->loop_count; i++) {
        const struct vm *vm = c->loops[i].plane.vm;
        uint64_t bytes = vm ? atomic_load_explicit(&vm->memory.used, memory_order_relaxed) : 0;
        out->lua_bytes += bytes;
        if (bytes > out->lua_bytes_most)
            out->lua_bytes_most = bytes;
    }
    out->lua_bytes_max = c->generation ? c->generation->gateway.lua_memory : 0;
}

static void add_loop(const struct loop *loop, uint64_t now_ms, struct tide_status *out)
{
    double round = ticks_to_ns(longest_read(&loop->rounds, now_ms)) / 1e9;
    double chore = (double)longest_read(&loop->chores, now_ms) / 1e9;
    if (round > out->longest_round)
        out->longest_round = round;
    if (chore > out->longest_chore)
        out->longest_chore = chore;
}

void tide_status_read(struct tide_status *out)
{
    struct control *c = the_control;
    *out = (struct tide_status){ 0 };
    if (!c)
        return;
    add_lua_memory(c, out);
    out->generation = c->generation_number;
    out->started_ms = c->started_ms;
    out->connections_open = fronts_open();
    out->reloads_good = c->reloads_good;
    out->reloads_bad = c->reloads_bad;
    out->threads = c->loop_count;
    out->worker_pid = getpid();
    out->supervisor_pid = getppid();
    out->log_lost = writer_lost(c->writer);
    out->regex_limit_hits = regex_limit_hits();
    const char *restarts = getenv("TIDEGATE_RESTARTS");
    out->worker_restarts = restarts ? strtoull(restarts, NULL, 10) : 0;
    for (uint32_t i = 0; i < c->loop_count; i++) {
        const struct counters *n = &c->loops[i].plane.counters;
        add_loop(c->loops[i].plane.loop, c->loop->clock.now_ms, out);
        out->requests += counted(&n->requests);
        out->connections_total += counted(&n->connections_total);
        out->bytes_in += counted(&n->bytes_in);
        out->bytes_out += counted(&n->bytes_out);
        for (int k = 0; k < 6; k++)
            out->responses[k] += counted(&n->responses[k]);
        out->upstream_tries += counted(&n->upstream_tries);
        out->upstream_reused += counted(&n->upstream_reused);
        out->upstream_retries += counted(&n->upstream_retries);
        out->upstream_retries_refused += counted(&n->upstream_retries_refused);
        out->upstream_hedges += counted(&n->upstream_hedges);
        out->upstream_races += counted(&n->upstream_races);
        out->upstream_failures += counted(&n->upstream_failures);
        out->upstream_open += freelist_live(&c->loops[i].plane.ups);
        out->websockets += counted(&n->websockets);
        out->websockets_open += counted(&n->websockets_open);
        out->websocket_messages_in += counted(&n->websocket_messages_in);
        out->websocket_messages_out += counted(&n->websocket_messages_out);
        out->websocket_bytes_in += counted(&n->websocket_bytes_in);
        out->websocket_bytes_out += counted(&n->websocket_bytes_out);
        out->websocket_errors += counted(&n->websocket_errors);
        out->websocket_connect_us += counted(&n->websocket_connect_us);
        out->log_lines += counted(&n->log_lines);
        out->log_lost += counted(&n->log_lost);
        out->accept_errors += counted(&n->accept_errors);
        out->refused += counted(&n->refused);
    }
}
