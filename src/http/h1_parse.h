#pragma once
/* h1_parse: bytes to a message head, RFC 9112 sections 2 to 5. Pure, no I/O. Strict, with no switch to be lax: bare CR
 * or LF, NUL, folded lines, space before the colon, control bytes, anything but one space between the words of the
 * first line are RC_MALFORMED.
 * The bytes may be followed by others; up to 64 bytes behind in.len are looked at (never interpreted), so they must be
 * readable. */
#include "http/header.h"

struct h1_limits { uint32_t head_bytes, headers, uri_bytes; };

struct h1_head {
    struct slice method, target;        /* of a request */
    size_t plain;                       /* so many bytes of the target need no normalisation and have no '?' */
    struct slice reason;                /* of a response */
    int status;
    uint8_t minor;                      /* HTTP/1.minor */
    size_t bytes;                       /* of the whole head, its empty line included, or up to what is malformed */
};

/* RC_OK; RC_AGAIN (the beginning of a head); RC_MALFORMED; RC_VERSION; RC_URI_LIMIT; RC_HEAD_LIMIT; RC_UNKNOWN_CODING
 * (a method over 32 bytes). Slices are views of `in`; only the header list takes from the arena. headers must be
 * clear. */
enum rc h1_parse_request(struct slice in, const struct h1_limits *limits, struct arena *a, struct h1_head *head,
                         struct headers *headers);
enum rc h1_parse_response(struct slice in, const struct h1_limits *limits, struct arena *a, struct h1_head *head,
                          struct headers *headers);
/* Header lines alone up to the empty line (a trailer section). */
enum rc h1_parse_fields(struct slice in, const struct h1_limits *limits, struct arena *a, size_t *bytes,
                        struct headers *headers);

/* What is wrong with a request head that is RC_MALFORMED, in words for the log: static. at: head->bytes. */
const char *h1_parse_why(struct slice in, size_t at);

/* The bytes have moved: makes the views of head and headers point to their copy. */
void h1_head_move(struct h1_head *head, struct headers *headers, const char *from, char *to);
