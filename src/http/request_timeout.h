#pragma once
/* request_timeout: the value of X-Request-Timeout: how long a client will wait for an answer. Seconds, with or without
 * decimals ("2", "0.25"), or with a unit right behind them: "250ms", "2s", "1.5m". */
#include "base/rc.h"
#include "base/slice.h"

enum { REQUEST_TIMEOUT_TEXT = 24 };     /* bytes that request_timeout_print needs */

/* *ms: rounded up, so that only no time at all is 0. RC_MALFORMED: it is no such time, or a thousand days or more. */
enum rc request_timeout_parse(struct slice value, uint64_t *ms);
/* As seconds with three decimals. Gives the length. */
size_t request_timeout_print(uint64_t ms, char *out);
