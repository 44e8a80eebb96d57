#pragma once
/* resolver: names to addresses. May wait for the network: control thread and command line only. */
#include "net/addr.h"

/* Fills at most max addresses of a name or literal, without duplicates; gives their number, or -1 with the reason. */
int resolve(const char *host, uint16_t port, struct addr *out, int max, char *why, size_t size);

/* For specs: from now on addresses of names are found like this, without a wait, by resolve_async as well. found gives
 * false where a name has none. NULL: by the system again. */
typedef bool found_fn(struct slice name, struct addr *out);
void resolver_replace(found_fn *found);
bool resolver_is_replaced(void);
