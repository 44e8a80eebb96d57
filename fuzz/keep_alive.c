/* Keep-Alive fields: no overrun, and what is said is within its bounds. */
#include "fuzz.h"
#include "http/keep_alive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *field = malloc(size ? size : 1);      /* no byte more than given may be looked at */
    assert(field);
    memcpy(field, data, size);
    struct keep_alive said = keep_alive_read(slice_make(field, size));
    assert(said.idle_ms <= KEEP_ALIVE_SECONDS_MAX * 1000u);
    assert(said.has_max || !said.max);
    free(field);
    return 0;
}
