#include "base/dict_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dict_store.h"
#include "base/folder.h"

enum { SUM_BYTES = 8, WRITE_BYTES = 256 << 10, READ_BYTES = SNAPSHOT_RECORD_MAX + (64 << 10) };
_Static_assert(sizeof(struct snapshot_record) == SNAPSHOT_HEAD_BYTES, "a record's head is as it stands in the file");

struct start { char magic[8]; uint32_t version, zero; uint64_t sum; };
_Static_assert(sizeof(struct start) == SNAPSHOT_START_BYTES, "so is the start of the file");

static const struct start start = { { 'T', 'I', 'D', 'E', 'D', 'I', 'C', 'T' }, SNAPSHOT_VERSION, 0, 0 };

__attribute__((format(printf, 3, 4))) static enum rc tell(struct dict_trouble *e, enum rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return rc;
}

uint64_t snapshot_sum(uint64_t before, struct slice s)
{
    return siphash((struct siphash_key){ before, SNAPSHOT_VERSION }, s);
}

static uint64_t sum_of_start(const struct start *s)
{
    return snapshot_sum(0, slice_make((const char *)s, offsetof(struct start, sum)));
}

/* The one number of a record that is a time, or NULL. */
static double *time_in(unsigned kind, double *state)
{
    if (kind == DICT_BUCKET)
        return &state[LEVEL_AT];
    return kind == DICT_WINDOW ? &state[BEGAN] : NULL;
}

/* -- reading: bytes to records -- */

static enum rc broken(struct snapshot_reader *r, const char *why)
{
    r->why = why;
    return RC_MALFORMED;
}

static enum rc read_start(struct snapshot_reader *r, struct slice *in)
{
    struct start s;
    size_t n = in->len < sizeof start.magic ? in->len : sizeof start.magic;
    if (n && memcmp(in->at, start.magic, n) != 0)
        return broken(r, "this is no snapshot: \"TIDEDICT\" expected");
    if (in->len < sizeof s)
        return RC_AGAIN;
    memcpy(&s, in->at, sizeof s);
    if (s.version != SNAPSHOT_VERSION)
        return broken(r, "a version that this program does not know: 1 expected");
    if (s.zero != 0 || s.sum != sum_of_start(&s))
        return broken(r, "the start of the file is damaged");
    *in = slice_from(*in, sizeof s);
    r->sum = s.sum;
    r->offset = sizeof s;
    return RC_OK;
}

static bool numbers_are_zero(const double *at, int n)
{
    for (int i = 0; i < n; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* NULL when they are what such a kind has; a number may be any. */
static const char *check_numbers(unsigned kind, const double *state)
{
    static const int used[] = {
        [DICT_STRING] = 0, [DICT_NUMBER] = 1, [DICT_BOOLEAN] = 1, [DICT_BUCKET] = 2, [DICT_WINDOW] = 3,
    };
    if (!numbers_are_zero(state + used[kind], 3 - used[kind]))
        return "a number where none belongs";
    if (kind == DICT_BOOLEAN && state[0] != 0 && state[0] != 1)
        return "a boolean that is neither 0 nor 1";
    for (int i = 0; kind > DICT_BOOLEAN && i < used[kind]; i++)
        if (!(state[i] >= 0 && state[i] < INFINITY))
            return "a limiter's number that is below 0 or not finite";
    return NULL;
}

static const char *check_end(const struct snapshot_reader *r, const struct snapshot_record *h)
{
    if (h->key_len || h->value_len || h->expires_s != 0 || !numbers_are_zero(h->state, 3))
        return "more than a number in the last record";
    return h->scope == r->count ? NULL : "another number of records than the last one says";
}

/* What a record's head may say; NULL when it is good. Lengths first: nobody waits for bytes that are not to come. */
static const char *check_head(const struct snapshot_reader *r, const struct snapshot_record *h)
{
    if (h->zero != 0 || h->kind > DICT_WINDOW)
        return "a record of a kind that there is not";
    if (h->kind == 0)
        return check_end(r, h);
    if (h->value_len > (h->kind == DICT_STRING ? VALUE_MAX : 0))
        return "a value that is longer than it may be";
    if (!(h->expires_s > 0))
        return "a time to expire that is not after 0";
    return check_numbers(h->kind, h->state);
}

enum rc snapshot_next(struct snapshot_reader *r, struct slice *in, struct snapshot_record *record, struct slice *bytes)
{
    if (r->offset == 0) {
        enum rc rc = read_start(r, in);
        if (rc != RC_OK)
            return rc;
    }
    if (in->len < sizeof *record)
        return RC_AGAIN;
    memcpy(record, in->at, sizeof *record);
    const char *why = check_head(r, record);
    if (why)
        return broken(r, why);
    size_t len = sizeof *record + record->key_len + record->value_len;
    if (in->len < len)
        return RC_AGAIN;
    if (record->sum != snapshot_sum(r->sum, slice_make(in->at + SUM_BYTES, len - SUM_BYTES)))
        return broken(r, "the sum does not match: bytes are not as they were written");
    *bytes = slice_make(in->at + sizeof *record, len - sizeof *record);
    *in = slice_from(*in, len);
    r->sum = record->sum;
    r->offset += len;
    r->count++;
    return record->kind ? RC_OK : RC_END;
}

/* -- loading -- */

struct loading {
    struct dict *d;             /* NULL: only look */
    struct dict_clocks at;
    uint64_t added;
};

static void add_record(struct loading *l, const struct snapshot_record *record, struct slice bytes)
{
    struct dict *d = l->d;
    struct dict_key key = { slice_make(bytes.at, record->key_len), record->scope };
    struct dict_value value = { .kind = record->kind, .text = slice_from(bytes, record->key_len) };
    double behind_s = l->at.now_s - l->at.wall_s, expires_s = record->expires_s + behind_s;
    if (expires_s <= l->at.now_s || key.text.len > dict_key_limit(d) || value.text.len > dict_value_limit(d))
        return;
    uint32_t spare = store_reserve(d, blocks_for(bytes.len), l->at.now_s), doomed = 0;
    if (!spare)
        return;
    entry_fill(d, spare, &key, &value, expires_s);
    struct entry *e = entry_at(d, spare);
    memcpy(e->state, record->state, sizeof e->state);
    double *time = time_in(record->kind, e->state);
    if (time)
        *time = fmin(*time + behind_s, l->at.now_s);

    struct place p = place_of(d, &key);
    lock_take(&p.shard->lock);
    if (!shard_find(d, &p, l->at.now_s, &doomed)) {
        shard_link(d, &p, spare, l->at.now_s);
        spare = 0;
        l->added++;
    }
    lock_leave(&p.shard->lock);
    store_give(d, doomed);
    store_give_chain(d, spare);
}

/* All records of what is in the buffer; what is not whole stays in *in. */
static enum rc take_records(struct loading *l, struct snapshot_reader *r, struct slice *in)
{
    struct snapshot_record record;
    struct slice bytes;
    enum rc rc;
    while ((rc = snapshot_next(r, in, &record, &bytes)) == RC_OK)
        if (l->d)
            add_record(l, &record, bytes);
    if (rc == RC_END && in->len)
        rc = broken(r, "bytes behind the last record");
    return rc;
}

static enum rc read_more(int fd, char *buffer, struct slice *in, uint64_t offset, struct dict_trouble *e)
{
    memmove(buffer, in->at, in->len);
    ssize_t n;
    do
        n = read(fd, buffer + in->len, READ_BYTES - in->len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return tell(e, RC_INTERNAL, "cannot be read: %s", strerror(errno));
    if (n == 0)
        return tell(e, RC_MALFORMED, "ends after byte %" PRIu64 ", before its last record", offset + in->len);
    *in = slice_make(buffer, in->len + (size_t)n);
    return RC_OK;
}

/* The whole file once, from its first byte. */
static enum rc read_file(struct loading *l, int fd, char *buffer, struct dict_trouble *e)
{
    struct snapshot_reader r = { 0 };
    struct slice in = slice_make(buffer, 0);
    if (lseek(fd, 0, SEEK_SET) != 0)
        return tell(e, RC_INTERNAL, "cannot be read from its beginning: %s", strerror(errno));
    enum rc rc;
    do {
        rc = read_more(fd, buffer, &in, r.offset, e);
        if (rc != RC_OK)
            return rc;
        rc = take_records(l, &r, &in);
    } while (rc == RC_AGAIN);
    if (rc == RC_MALFORMED)
        return tell(e, rc, "at byte %" PRIu64 ": %s", r.offset, r.why);
    char beyond;
    return read(fd, &beyond, 1) == 0 ? RC_OK : tell(e, RC_MALFORMED, "bytes behind the last record");
}

enum rc dict_load_from(struct dict *d, int fd, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return tell(e, RC_INTERNAL, "cannot be read: %s", strerror(errno));
    if (!S_ISREG(file.st_mode))
        return tell(e, RC_MALFORMED, "is no regular file");
    if ((uint64_t)file.st_size > DICT_BYTES_MAX)
        return tell(e, RC_MALFORMED, "has %jd bytes: more than any dictionary", (intmax_t)file.st_size);
    char *buffer = malloc(READ_BYTES);
    if (!buffer)
        abort();
    struct loading l = { .d = NULL, .at = at };
    enum rc rc = read_file(&l, fd, buffer, e);
    l.d = d;
    if (rc == RC_OK)
        rc = read_file(&l, fd, buffer, e);
    free(buffer);
    *entries = l.added;
    return rc;
}

enum rc dict_load(struct dict *d, const char *path, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e)
{
    *entries = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* no waiting for the other end of a fifo */
    if (fd < 0)
        return tell(e, errno == ENOENT ? RC_EOF : RC_INTERNAL, "cannot be opened: %s", strerror(errno));
    enum rc rc = dict_load_from(d, fd, at, entries, e);
    close(fd);
    return rc;
}

/* -- saving -- */

struct saving {
    struct dict_clocks at;
    struct snapshot_reader sums;    /* sum and count of what is sealed */
    char *buffer;
    size_t len, cap;
    int fd;
};

static char *room(struct saving *s, size_t more)
{
    while (s->len + more > s->cap) {
        s->cap = s->cap ? 2 * s->cap : WRITE_BYTES;
        s->buffer = realloc(s->buffer, s->cap);
        if (!s->buffer)
            abort();
    }
    return s->buffer + s->len;
}

/* Under a shard's lock: a copy, and no sum yet. */
static void save_entry(void *who, const struct dict *d, uint32_t entry)
{
    struct saving *s = who;
    const struct entry *e = entry_at(d, entry);
    size_t len = (size_t)e->key_len + e->value_len;
    double ahead_s = s->at.wall_s - s->at.now_s;
    struct snapshot_record record = {
        .kind = e->kind, .key_len = e->key_len, .value_len = e->value_len, .scope = e->scope,
        .expires_s = e->expires_s + ahead_s, .state = { e->state[0], e->state[1], e->state[2] },
    };
    double *time = time_in(e->kind, record.state);
    if (time)
        *time = fmax(0, *time + ahead_s);
    char *at = room(s, sizeof record + len);
    memcpy(at, &record, sizeof record);
    struct run r = run_of(d, entry);
    run_read(d, &r, at + sizeof record, len);
    s->len += sizeof record + len;
}

/* Puts their sums into the records of the buffer from a place on. */
static void seal(struct saving *s, size_t from)
{
    struct snapshot_record record;
    for (size_t len; from < s->len; from += len) {
        char *at = s->buffer + from;
        memcpy(&record, at, sizeof record);
        len = sizeof record + record.key_len + record.value_len;
        s->sums.sum = snapshot_sum(s->sums.sum, slice_make(at + SUM_BYTES, len - SUM_BYTES));
        memcpy(at, &s->sums.sum, SUM_BYTES);
        s->sums.count++;
    }
}

static bool write_out(struct saving *s)
{
    for (size_t done = 0; done < s->len;) {
        ssize_t n = write(s->fd, s->buffer + done, s->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    s->len = 0;
    return true;
}

static bool write_all(struct dict *d, struct saving *s)
{
    struct start first = start;
    s->sums.sum = first.sum = sum_of_start(&first);
    memcpy(room(s, sizeof first), &first, sizeof first);
    s->len = sizeof first;
    size_t sealed = s->len;
    for (uint64_t cursor = 0; store_walk(d, &cursor, s->at.now_s, save_entry, s); sealed = s->len) {
        seal(s, sealed);
        if (s->len >= WRITE_BYTES && !write_out(s))
            return false;
    }
    struct snapshot_record end = { .scope = s->sums.count };
    memcpy(room(s, sizeof end), &end, sizeof end);
    s->len += sizeof end;
    seal(s, sealed);
    return write_out(s) && fsync(s->fd) == 0;
}

/* A rename is kept over a loss of power when its folder is. Where that cannot be had, the file before it is kept. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

enum rc dict_save(struct dict *d, const char *path, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
        return tell(e, RC_INTERNAL, "cannot be written: %s", strerror(ENAMETOOLONG));
    int no_folder = folder_make_above(path);
    (void)unlink(temporary);            /* of a save that was cut off; a failure shows in the open */
    struct saving s = { .at = at, .fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) };
    if (s.fd < 0)
        return tell(e, RC_INTERNAL, "cannot be written: %s", strerror(no_folder ? no_folder : errno));
    bool good = write_all(d, &s) && rename(temporary, path) == 0;
    int why = errno;
    free(s.buffer);
    close(s.fd);                        /* synced: there is nothing left that could fail */
    if (!good) {
        (void)unlink(temporary);        /* the reason to tell is the one before */
        return tell(e, RC_INTERNAL, "cannot be written: %s", strerror(why));
    }
    sync_folder(path);
    *entries = s.sums.count - 1;        /* the last record is none */
    return RC_OK;
}
