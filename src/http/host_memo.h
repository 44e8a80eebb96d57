#pragma once
/* host_memo: the authorities that a loop's clients asked for lately and that were good as they are: most ask for the
 * same few, again and again, and what they name need not be found out each time. */
#include "base/slice.h"

enum { HOST_MEMO_SLOTS = 16, HOST_MEMO_LEAST = 8, HOST_MEMO_MOST = 64 };

struct host_memo_slot {
    uint64_t first, last;                       /* eight bytes each, the last may be some of the first */
    uint8_t len, host_len;                      /* len 0: an empty slot */
    char text[HOST_MEMO_MOST];
};

struct host_memo { struct host_memo_slot slots[HOST_MEMO_SLOTS]; };

/* Private: where it would be; all but host_len and text go to *wanted. authority has HOST_MEMO_LEAST bytes at least and
 * HOST_MEMO_MOST at most. */
static inline const struct host_memo_slot *host_memo_place(const struct host_memo *m, struct slice authority,
                                                           struct host_memo_slot *wanted)
{
    memcpy(&wanted->first, authority.at, 8);
    memcpy(&wanted->last, slice_end(authority) - 8, 8);
    wanted->len = (uint8_t)authority.len;
    uint64_t mixed = (wanted->first * 3 + wanted->last + wanted->len) * 0x9e3779b97f4a7c15u;
    return &m->slots[mixed >> 60];
}

/* The host in front of an authority that was kept, a view of it; SLICE_NONE: it is not known. */
static inline struct slice host_memo_find(const struct host_memo *m, struct slice authority)
{
    struct host_memo_slot wanted;
    if (authority.len - HOST_MEMO_LEAST > HOST_MEMO_MOST - HOST_MEMO_LEAST)
        return SLICE_NONE;
    const struct host_memo_slot *known = host_memo_place(m, authority, &wanted);
    if (known->first != wanted.first || known->last != wanted.last || known->len != wanted.len ||
        (wanted.len > 16 && memcmp(known->text + 8, authority.at + 8, wanted.len - 16u) != 0))
        return SLICE_NONE;
    return slice_make(authority.at, known->host_len);
}

/* Keeps an authority whose host is a view of its front, whatever was in its place before. Others are let be. */
void host_memo_keep(struct host_memo *m, struct slice authority, struct slice host);
