#pragma once
/* dict_snapshot: a dictionary as a file, and back. The file is replaced in one step, so that it is always a whole one.
 *
 *   file    "TIDEDICT", version, 0 (two uint32_t), sum of these; records; one of kind 0, whose scope is their number
 *   record  sum, then: kind (1 byte), 0 (1), bytes of the key (2) and of the value (4), scope (8), when it expires (8),
 *           three numbers of its kind (8 each); key; value
 *
 * Numbers are the machine's, doubles for times and values. Times are of the wall clock, so that they hold over a
 * restart. A sum is the SipHash of what it is for, with the sum before as its key: a byte that is not as it was, a
 * record that is missing or in another place shows. It guards against accidents, not against who can write the file; a
 * file made to do harm can do none but by what its entries say. */
#include "base/dict.h"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_START_BYTES = 24, SNAPSHOT_HEAD_BYTES = 56,
    SNAPSHOT_RECORD_MAX = SNAPSHOT_HEAD_BYTES + 65535 + (1 << 20),
};

struct snapshot_record {
    uint64_t sum;
    uint8_t kind, zero;
    uint16_t key_len;
    uint32_t value_len;
    uint64_t scope;
    double expires_s, state[3];
};

struct snapshot_reader {        /* all zero is the start state */
    uint64_t sum;               /* of what was read last */
    uint64_t offset, count;     /* bytes and records read */
    const char *why;            /* what is wrong, static words */
};

/* Takes the next record from the front of *in. *record has copies of its numbers, *bytes is a view of its key and
 * value.
 * RC_OK         there is one
 * RC_AGAIN      call again with more bytes behind those that are left
 * RC_END        the last record has passed; *in is what follows, which should be nothing
 * RC_MALFORMED  r->why tells, r->offset where */
enum rc snapshot_next(struct snapshot_reader *r, struct slice *in, struct snapshot_record *record, struct slice *bytes);

/* The sum of these bytes after that one. */
uint64_t snapshot_sum(uint64_t before, struct slice s);

struct dict_trouble { char text[256]; };        /* NUL-terminated words for the user */

/* Both clocks at one moment. */
struct dict_clocks { double now_s, wall_s; };

/* Writes all live entries, of every scope. Others use the dictionary meanwhile: each entry is as it was at some moment
 * of the saving. The file is only for its owner to read. RC_INTERNAL: it could not be written, *e tells why. */
enum rc dict_save(struct dict *d, const char *path, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e);

/* Adds the entries of a file, but for those that have expired or whose keys are there already. The whole file is
 * checked first: of one that is damaged nothing is taken. Where the dictionary is smaller than what was saved, some
 * entries give way. RC_EOF: there is no such file; RC_MALFORMED: it is not good; RC_INTERNAL: it cannot be read. */
enum rc dict_load(struct dict *d, const char *path, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e);

/* The same for an open file. */
enum rc dict_load_from(struct dict *d, int fd, struct dict_clocks at, uint64_t *entries, struct dict_trouble *e);
