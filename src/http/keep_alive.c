#include "http/keep_alive.h"

static bool has_name(struct slice member, struct slice name)
{
    return member.len > name.len && slice_equal_nocase(slice_make(member.at, name.len), name);
}

struct keep_alive keep_alive_read(struct slice list)
{
    static const struct slice timeout = SLICE("timeout="), max = SLICE("max=");
    struct keep_alive said = { 0 };
    struct slice member;
    uint64_t n;
    while (slice_next_member(&list, &member)) {
        if (has_name(member, timeout) && slice_to_u64(slice_from(member, timeout.len), KEEP_ALIVE_SECONDS_MAX, &n)) {
            said.idle_ms = n ? (uint32_t)n * 1000 : 1;
        } else if (has_name(member, max) && slice_to_u64(slice_from(member, max.len), UINT32_MAX / 2, &n)) {
            said.has_max = true;
            said.max = (uint32_t)n;
        }
    }
    return said;
}
