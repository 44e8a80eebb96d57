#pragma once
/* passage: what is left of an exchange whose connections have become a byte pipe or a WebSocket. It moves the bytes,
 * and keeps what the end will be told with, in a quarter of the memory: most of these are open for long, and idle. For
 * whatever is not moving bytes the exchange comes back: a time that is over, and the end. */
#include "proxy/exchange.h"
#include "proxy/steps.h"

/* No plugin has anything to do with it any more. */
bool passage_may_begin(const struct exchange *x);
/* The relay is set up, and both of its streams are plain bytes. The exchange is gone after it: NEXT_GONE. */
enum next passage_begin(struct exchange *x);
