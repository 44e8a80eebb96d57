#pragma once
/* recent: heads of requests that a loop had a short while ago, for `tidegate diff`, which asks where they would go now.
 * At most one in RECENT_EVERY_MS is kept, so that it costs nothing worth naming under load; and no query and no header,
 * so that no secret is kept. The loop's own; all zero is an empty one. */
#include "base/buf.h"
#include "base/slice.h"

enum { RECENT_EVERY_MS = 10, RECENT_REQUESTS = 1024, RECENT_TEXT = 500 };

struct recent {
    uint64_t due_ms;                    /* none is kept before; RECENT_NEVER: none at all */
    uint32_t count;                     /* of all that were kept; the newest overwrites the oldest */
    struct recent_head *heads;          /* RECENT_REQUESTS of them; NULL before the first */
};
#define RECENT_NEVER UINT64_MAX

struct recent_seen { struct slice method, host, path, client; uint32_t listener; };

static inline bool recent_is_due(const struct recent *r, uint64_t now_ms) { return now_ms >= r->due_ms; }

/* Copies a head. One that is longer than RECENT_TEXT, or holds control characters, is not kept: cut it would go
 * elsewhere. */
void recent_keep(struct recent *r, uint64_t now_ms, const struct recent_seen *seen);
/* on: whether heads are kept from now on; those that were are forgotten where not. */
void recent_switch(struct recent *r, bool on);
/* Calls tell for each, the oldest first. */
void recent_each(const struct recent *r, void (*tell)(void *who, const struct recent_seen *seen), void *who);
void recent_free(struct recent *r);
