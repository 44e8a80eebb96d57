#pragma once
/* h1_hop: fields that are about one HTTP/1.1 connection and never cross the gateway, RFC 9110 section 7.6.1. Both ends,
 * front_h1 and up_h1, take them out of what they read. */
#include "http/header.h"

_Static_assert(HEADER_COUNT <= 64, "header ids are bits below");

/* A bit per enum header_id. */
static const uint64_t h1_hop_by_hop = 1ull << HEADER_CONNECTION | 1ull << HEADER_KEEP_ALIVE |
                                      1ull << HEADER_PROXY_CONNECTION | 1ull << HEADER_TE |
                                      1ull << HEADER_TRANSFER_ENCODING | 1ull << HEADER_UPGRADE |
                                      1ull << HEADER_HTTP2_SETTINGS;

static inline bool h1_is_hop_by_hop(unsigned id) { return h1_hop_by_hop >> id & 1; }

/* Takes out what a Connection field names, but for fields that framing, routing or the trust between proxies rest on:
 * nobody may make us forget those. */
void h1_skip_named(struct headers *headers, struct slice connection);
