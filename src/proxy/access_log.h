#pragma once
/* access_log: a finished exchange as bytes. Formats are compiled once per generation; writing one is a copy per field,
 * straight into the queue of the writer thread. */
#include "proxy/exchange.h"

/* Compiles log->settings into log->format. False with the reason for an unknown ${field}. Fields: time, time_common,
 * client_ip, method, target, path, version, host, status, bytes_in, bytes_out, total, connect, first_byte, upstream,
 * service, route, retries, tls, request_id, referer, user_agent, failure. Times in milliseconds with three decimals.
 * plugin.NAME is what a plugin has added under that name. */
bool access_log_compile(struct access_log *log, struct arena *a, char *why, size_t size);

/* Queues a line for every log of the generation. A full queue drops it and counts. */
void access_log_write(struct exchange *x);

enum { LOG_ENTRIES_MAX = 32, LOG_ENTRIES_BYTES = 4096 };        /* of a plugin, for one line: names and values */

/* Adds a field to the line, in place of one of the same name: json is its value; with none it is taken out. In JSON it
 * stands behind the others. RC_MALFORMED: no name for a field, or the line has one of that name itself. RC_LIMIT. */
enum rc access_log_add(struct exchange *x, struct slice name, struct slice json);
