#include "http/host_memo.h"

void host_memo_keep(struct host_memo *m, struct slice authority, struct slice host)
{
    struct host_memo_slot kept = { 0 };
    if (host.at != authority.at || authority.len < HOST_MEMO_LEAST || authority.len > HOST_MEMO_MOST)
        return;
    struct host_memo_slot *place = &m->slots[host_memo_place(m, authority, &kept) - m->slots];
    kept.host_len = (uint8_t)host.len;
    memcpy(kept.text, authority.at, authority.len);
    *place = kept;
}
