#pragma once
/* hosts: the names of /etc/hosts, hosts(5). Read again when the file has changed. */
#include "base/arena.h"
#include "net/addr.h"

struct hosts;

struct hosts *hosts_new(const char *file);
void hosts_free(struct hosts *h);
/* Fills at most max addresses of a name (in lower case), with port 0, in the order of the file; gives how many it has
 * there. 0: the file does not know it, or cannot be read. */
uint32_t hosts_find(struct hosts *h, struct slice name, struct addr *out, uint32_t max);
