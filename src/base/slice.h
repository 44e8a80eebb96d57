#pragma once
/* slice: a view of bytes that someone else owns. Passed by value, never freed by its holder, no NUL at its end.
 * An empty slice has len 0; `at` may then be NULL. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ffi { */
struct slice { const char *at; size_t len; };
/* } ffi */

#define SLICE(literal) { "" literal, sizeof(literal) - 1 }
#define SLICE_OF(literal) ((struct slice)SLICE(literal))
#define SLICE_NONE ((struct slice){ NULL, 0 })

static inline struct slice slice_make(const char *at, size_t len) { return (struct slice){ at, len }; }
static inline struct slice slice_text(const char *text) { return (struct slice){ text, strlen(text) }; }
static inline struct slice slice_from(struct slice s, size_t start) { return slice_make(s.at + start, s.len - start); }
static inline const char *slice_end(struct slice s) { return s.at + s.len; }

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

/* Writes the bytes at `to`, which has room for them. For such as mostly have 8 to 16 bytes: those take no call. */
static inline void slice_copy(struct slice s, char *to)
{
    uint64_t first, last;
    if (s.len - 8 <= 8) {
        memcpy(&first, s.at, 8);
        memcpy(&last, s.at + s.len - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + s.len - 8, &last, 8);
    } else if (s.len) {
        memcpy(to, s.at, s.len);
    }
}

/* ASCII letters to lower case; all other bytes stay. */
static inline unsigned char byte_lower(unsigned char c) { return (unsigned)c - 'A' < 26 ? c | 0x20 : c; }

/* Compares ignoring the case of ASCII letters. */
bool slice_equal_nocase(struct slice a, struct slice b);

/* Cuts spaces and tabs (OWS, RFC 9110 section 5.6.3) off both ends. */
struct slice slice_trim(struct slice s);

/* Takes the next member off a comma-separated list (RFC 9110 section 5.6.1), trimmed; empty members are skipped,
 * commas inside quoted strings do not count. False when the list is used up. */
bool slice_next_member(struct slice *list, struct slice *member);

/* True when the comma-separated list has the token, ignoring case. */
bool slice_list_has(struct slice list, struct slice token);

/* Decimal digits only, at least one, no sign, no overflow past max. False otherwise. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out);

/* Writes n in decimal at `at` (20 bytes are always enough) and gives the number of bytes written. */
size_t format_u64(char *at, uint64_t n);

/* Writes n in lower-case hexadecimal without leading zeros (16 bytes are enough) and gives the number of bytes. */
size_t format_hex(char *at, uint64_t n);

/* 32-bit hash, seeded once per process so that peers cannot aim at one bucket. */
uint32_t slice_hash(struct slice s);
uint32_t slice_hash_nocase(struct slice s);
uint32_t hash_mix(uint32_t a, uint32_t b);
