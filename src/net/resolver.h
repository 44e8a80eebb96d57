#pragma once
/* resolver: names to addresses. May wait for the network: control thread and command line only. */
#include "net/addr.h"

/* Fills at most max addresses of a name or literal, without duplicates; gives their number, or -1 with the reason. */
int resolve(const char *host, uint16_t port, struct addr *out, int max, char *why, size_t size);
