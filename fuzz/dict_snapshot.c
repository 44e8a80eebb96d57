/* Snapshots of dictionaries: whole and byte by byte they read the same, nothing behind the end is looked at, what loads
 * is what was read, and it saves and loads again. The first byte says whether sums are put right first, without which
 * hardly any input would get past them. */
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/dict_snapshot.h"

enum { SUM = 8 };

/* As if they had been written so: every sum is what it should be, as far as lengths lead. */
static void seal(char *at, size_t size)
{
    struct snapshot_record record;
    if (size < SNAPSHOT_START_BYTES)
        return;
    uint64_t sum = snapshot_sum(0, slice_make(at, SNAPSHOT_START_BYTES - SUM));
    memcpy(at + SNAPSHOT_START_BYTES - SUM, &sum, SUM);
    for (size_t i = SNAPSHOT_START_BYTES, len; i + sizeof record <= size; i += len) {
        memcpy(&record, at + i, sizeof record);
        len = sizeof record + record.key_len + (size_t)record.value_len;
        if (len > size - i)
            return;
        sum = snapshot_sum(sum, slice_make(at + i + SUM, len - SUM));
        memcpy(at + i, &sum, SUM);
    }
}

static enum rc read_all(struct snapshot_reader *r, struct slice *in)
{
    struct snapshot_record record;
    struct slice bytes;
    enum rc rc;
    while ((rc = snapshot_next(r, in, &record, &bytes)) == RC_OK)
        assert(record.kind && bytes.len == (size_t)record.key_len + record.value_len);
    return rc;
}

static void check_bytes(struct slice whole, enum rc expected, const struct snapshot_reader *read)
{
    struct snapshot_reader r = { 0 };
    enum rc rc = RC_AGAIN;
    for (size_t used = 0, len = 0; len <= whole.len && rc == RC_AGAIN; len++) {
        struct slice in = fuzz_copy((const uint8_t *)whole.at + used, len - used, 'x'), rest = in;
        rc = read_all(&r, &rest);
        used += (size_t)(rest.at - in.at);
        fuzz_free(in);
    }
    assert(rc == expected && r.count == read->count && r.offset == read->offset && r.why == read->why);
}

static enum rc load(struct dict *d, struct slice bytes, uint64_t *entries)
{
    static const struct dict_clocks at = { 1000, 1700000000 };
    struct dict_trouble trouble = { "" };
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, bytes.at, bytes.len) == (ssize_t)bytes.len);
    enum rc rc = dict_load_from(d, fd, at, entries, &trouble);
    assert((rc == RC_OK) == !trouble.text[0] && (rc == RC_OK || *entries == 0));
    close(fd);
    return rc;
}

/* What was loaded reads as it is kept. */
static void check_keys(struct dict *d, uint64_t entries)
{
    struct slice keys;
    uint32_t len;
    uint64_t count = 0;
    for (uint64_t cursor = 0; dict_keys(d, &cursor, 1000, &keys);)
        for (; keys.len; keys = slice_from(keys, sizeof len + len), count++) {
            memcpy(&len, keys.at, sizeof len);
            assert(len <= dict_key_limit(d) && keys.len >= sizeof len + len);
        }
    struct dict_stats stats;
    dict_stats_read(d, &stats);
    assert(count <= stats.entries && stats.entries <= entries && stats.bytes_used <= stats.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dict *d;
    if (!d && !(d = dict_new(DICT_BYTES_MIN)))
        abort();
    if (size == 0)
        return 0;
    struct slice whole = fuzz_copy(data + 1, size - 1, 0), rest = whole;
    if (data[0] & 1)
        seal((char *)(uintptr_t)whole.at, whole.len);
    struct snapshot_reader r = { 0 };
    enum rc rc = read_all(&r, &rest);
    if (whole.len < 1000)
        check_bytes(whole, rc, &r);
    uint64_t entries = 0;
    enum rc loaded = load(d, whole, &entries);
    assert(loaded == (rc == RC_END && rest.len == 0 ? RC_OK : RC_MALFORMED));
    assert(entries <= r.count);
    check_keys(d, entries);
    dict_flush(d);
    fuzz_free(whole);
    return 0;
}
