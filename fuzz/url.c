/* Targets and authorities: the normal form is stable, holds no dot segment in any spelling and only URI bytes. */
#include "fuzz.h"
#include "http/url.h"

static bool is_dots(struct slice segment)
{
    return slice_equal(segment, SLICE_OF(".")) || slice_equal(segment, SLICE_OF(".."));
}

static void check_normal(struct slice path, bool merge_slashes)
{
    assert(path.len && path.at[0] == '/');
    for (size_t i = 0, start = 1; i <= path.len; i++) {
        if (i && (i == path.len || path.at[i] == '/')) {
            assert(!is_dots(slice_make(path.at + start, i - start)));
            start = i + 1;
        }
        if (i == path.len)
            break;
        unsigned char c = (unsigned char)path.at[i];
        assert(c > ' ' && c < 0x7f && !strchr("?#\\\"<>", c));
        assert(!merge_slashes || i == 0 || c != '/' || path.at[i - 1] != '/');
        /* Of "%2E" and "%2e" neither may be left, nor %00. */
        assert(c != '%' || i + 2 < path.len);
        assert(c != '%' || (memcmp(path.at + i, "%2E", 3) != 0 && memcmp(path.at + i, "%00", 3) != 0));
    }
}

static void check_path(struct slice in, bool merge_slashes)
{
    struct arena a;
    struct slice once, twice;
    arena_init(&a, 4096);
    if (url_normalise(in, merge_slashes, &a, &once) == RC_OK) {
        check_normal(once, merge_slashes);
        assert(url_normalise(once, merge_slashes, &a, &twice) == RC_OK && slice_equal(once, twice));
        (void)url_is_hidden(once);
    }
    arena_free(&a);
}

static void check_authority(struct slice in)
{
    struct arena a;
    struct slice host, port, again, none;
    uint64_t number;
    arena_init(&a, 4096);
    if (url_split_authority(in, &a, &host, &port) == RC_OK) {
        assert(host.len && (!port.len || slice_to_u64(port, 65535, &number)));
        for (size_t i = 0; i < host.len; i++)
            assert(host.at[i] > ' ' && host.at[i] != '/' && host.at[i] != '@' && (unsigned)host.at[i] - 'A' >= 26);
        assert(host.at[host.len - 1] != '.');
        assert(url_split_authority(host, &a, &again, &none) == RC_OK && slice_equal(again, host) && none.len == 0);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_copy(data, size, '/'), authority, path;
    check_path(in, false);
    check_path(in, true);
    check_authority(in);
    if (url_split_absolute(in, &authority, &path) == RC_OK) {
        assert(authority.len && slice_end(authority) == path.at && slice_end(path) == slice_end(in));
        assert(!path.len || path.at[0] == '/' || path.at[0] == '?');
        check_authority(authority);
        check_path(path, true);
    }
    fuzz_free(in);
    return 0;
}
