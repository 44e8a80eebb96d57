/* X-Request-Timeout: no overrun, no overflow, and what is taken can be written and read again. */
#include "fuzz.h"
#include "http/request_timeout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *value = malloc(size ? size : 1), text[REQUEST_TIMEOUT_TEXT];      /* no byte more may be looked at */
    uint64_t ms, again;
    assert(value);
    if (size)
        memcpy(value, data, size);
    if (request_timeout_parse(slice_make(value, size), &ms) == RC_OK) {
        size_t n = request_timeout_print(ms, text);
        assert(n <= sizeof text && request_timeout_parse(slice_make(text, n), &again) == RC_OK && again == ms);
    }
    free(value);
    return 0;
}
