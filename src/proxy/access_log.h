#pragma once
/* access_log: a finished exchange as bytes. Formats are compiled once per generation; writing one is a copy per field,
 * straight into the queue of the writer thread. */
#include "proxy/exchange.h"

/* Compiles log->settings into log->format. False with the reason for an unknown ${field}. Fields: time, time_common,
 * client_ip, method, target, path, version, host, status, bytes_in, bytes_out, total, connect, first_byte, upstream,
 * service, route, retries, tls, request_id, referer, user_agent, failure. Times in milliseconds with three decimals. */
bool access_log_compile(struct access_log *log, struct arena *a, char *why, size_t size);

/* Queues a line for every log of the generation. A full queue drops it and counts. */
void access_log_write(struct exchange *x);
