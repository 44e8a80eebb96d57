#include "http/h1_hop.h"

void h1_skip_named(struct headers *headers, struct slice connection)
{
    struct slice token;
    while (slice_next_member(&connection, &token)) {
        enum header_id id = header_id_of(token);
        if (id != HEADER_UNKNOWN)
            continue;               /* hop-by-hop ones are out already */
        for (uint32_t i = 0; i < headers->count; i++)
            if (headers->at[i].id == id && slice_equal_nocase(headers->at[i].name, token))
                headers->at[i].skip = true;
    }
}
