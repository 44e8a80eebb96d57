#pragma once
/* metrics: counters of one loop, written by it alone and read by others. */
#include <stdatomic.h>
#include <stdint.h>

struct counters {
    _Atomic uint64_t requests, connections_total, bytes_in, bytes_out;
    _Atomic uint64_t responses[6];      /* by class; [0]: cut without a status */
    _Atomic uint64_t upstream_tries, upstream_reused, upstream_retries, upstream_failures;
    _Atomic uint64_t upstream_retries_refused;  /* by a budget */
    _Atomic uint64_t upstream_hedges;   /* further tries beside one that was under way */
    _Atomic uint64_t upstream_races;    /* ... beside one whose node took long to be reached */
    _Atomic uint64_t log_lines, log_lost, accept_errors, refused;
    _Atomic uint64_t websockets, websockets_open;       /* ever; now */
    _Atomic uint64_t websocket_messages_in, websocket_messages_out;     /* where they are looked at */
    _Atomic uint64_t websocket_bytes_in, websocket_bytes_out;
    _Atomic uint64_t websocket_errors, websocket_connect_us;
};

/* One writer: no locked instruction is needed. */
static inline void count(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline uint64_t counted(const _Atomic uint64_t *c) { return atomic_load_explicit(c, memory_order_relaxed); }
