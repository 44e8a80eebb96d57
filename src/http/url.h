#pragma once
/* url: request targets. A path is normalised once, and that form is what is routed, checked and forwarded, so that no
 * two parts of the gateway can read it differently. */
#include "base/arena.h"
#include "base/rc.h"

/* RFC 3986 section 6.2.2: %XX of unreserved bytes is decoded, other %XX get upper-case digits, dot segments go, runs of
 * slashes become one when merge_slashes; bytes that are not URI characters are percent-encoded. %2F stays encoded.
 * The result is `path` itself when it is normal already, else lives in the arena.
 * RC_MALFORMED: no leading slash, a broken %XX, %00, or ".." above the root. */
enum rc url_normalise(struct slice path, bool merge_slashes, struct arena *a, struct slice *out);

/* A normalised path that has a segment beginning with a dot, "/.well-known/" (RFC 8615) excepted at the front. %2F ends
 * a segment as well: whoever serves files may decode it. */
bool url_is_hidden(struct slice path);

/* Splits "host", "host:port", "[v6]:port". The name comes back in lower case without a trailing dot (in the arena when
 * it had to change). RC_MALFORMED for anything that RFC 3986 section 3.2.2 does not allow, or an empty name. */
enum rc url_split_authority(struct slice authority, struct arena *a, struct slice *host, struct slice *port);

/* Takes "http://authority" or "https://authority" off an absolute-form target; *path is what follows, maybe nothing.
 * RC_MALFORMED for other schemes, or user information. */
enum rc url_split_absolute(struct slice target, struct slice *authority, struct slice *path);
