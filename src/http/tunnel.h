#pragma once
/* tunnel: bytes both ways between two streams after 101. Each side is read only as fast as the other one takes it; the
 * end of one direction is passed on, and the tunnel ends when both have ended. */
#include "base/buf.h"
#include "net/stream.h"

struct tunnel_way {
    struct stream *from, *to;
    struct buf kept;                    /* read, and not yet taken by `to` */
    uint64_t bytes;
    bool ended;
};

struct tunnel { struct loop *loop; struct tunnel_way out, back; };

/* early: bytes that came with the request or the 101. */
void tunnel_init(struct tunnel *t, struct loop *loop, struct stream *client, struct stream *upstream,
                 struct slice early_client, struct slice early_upstream);
/* RC_AGAIN: wait; *moved tells whether anything went through. RC_END: both directions are over. RC_RESET: broken. */
enum rc tunnel_run(struct tunnel *t, bool *moved);
void tunnel_free(struct tunnel *t);
