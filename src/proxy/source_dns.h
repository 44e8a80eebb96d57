#pragma once
/* source_dns: nodes by the SRV records of a name, RFC 2782: `discovery: { dns: _http._tcp.users.internal }`. The
 * records of the lowest priority are the nodes, all others are backups; a weight of 0 counts as 1. Targets are names
 * again, each with any number of addresses. */
#include "proxy/source.h"

extern const struct source_kind source_dns;
