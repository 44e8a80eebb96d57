#include "http/h1_hop.h"

static bool is_kept(unsigned id)
{
    const uint64_t ids = 1ull << HEADER_HOST | 1ull << HEADER_CONTENT_LENGTH | 1ull << HEADER_EXPECT |
                         1ull << HEADER_VIA | 1ull << HEADER_FORWARDED | 1ull << HEADER_X_FORWARDED_FOR |
                         1ull << HEADER_X_FORWARDED_PROTO | 1ull << HEADER_X_FORWARDED_HOST |
                         1ull << HEADER_X_FORWARDED_PORT | 1ull << HEADER_X_REQUEST_ID | 1ull << HEADER_AUTHORIZATION |
                         1ull << HEADER_COOKIE | 1ull << HEADER_SET_COOKIE | 1ull << HEADER_MAX_FORWARDS;
    return ids >> id & 1;
}

void h1_skip_named(struct headers *headers, struct slice connection)
{
    struct slice token;
    while (slice_next_member(&connection, &token)) {
        enum header_id id = header_id_of(token);
        if (is_kept(id))
            continue;
        for (uint32_t i = 0; i < headers->count; i++)
            if (headers->at[i].id == id && slice_equal_nocase(headers->at[i].name, token))
                headers->at[i].skip = true;
    }
}
