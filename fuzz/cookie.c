/* Cookie fields: no overrun, and a value is a part of its field, never with a semicolon. */
#include "fuzz.h"
#include "http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t name_len = size ? data[0] % 8 : 0;
    if (size < 1 + name_len)
        return 0;
    struct slice name = slice_make((const char *)data + 1, name_len), value;
    size_t len = size - 1 - name_len;
    char *field = malloc(len ? len : 1);        /* no byte more than given may be looked at */
    assert(field);
    memcpy(field, data + 1 + name_len, len);
    if (cookie_get(slice_make(field, len), name, &value)) {
        assert(value.at >= field && slice_end(value) <= field + len);
        assert(!value.len || !memchr(value.at, ';', value.len));
        assert(slice_equal(slice_trim(name), name));
    }
    free(field);
    return 0;
}
