#pragma once
/* pipe: kernel pipes that splice large bodies from one socket to another without copying them through user space. */
#include "base/rc.h"
#include "net/stream.h"

enum { PIPE_BYTES = 1 << 20, PIPES_KEPT = 16 };

struct pipe {
    int in, out;
    size_t held;                        /* bytes in it */
};

struct pipes { struct pipe kept[PIPES_KEPT]; int count; };      /* empty pipes of one loop */

/* RC_LIMIT when the kernel gives none: relay through memory instead. */
enum rc pipe_take(struct pipes *all, struct pipe *p);
/* Keeps it when it is empty, else closes it. */
void pipe_give(struct pipes *all, struct pipe *p);
void pipes_free(struct pipes *all);

/* Moves at most *left bytes from one plain stream to the other and counts them off. RC_OK: *left is 0 and the pipe
 * empty. RC_AGAIN: wait for either. RC_EOF, RC_RESET: `from` ended. RC_CLIENT_GONE: `to` is closed. *moved: bytes that
 * `to` took. */
enum rc pipe_move(struct pipe *p, struct stream *from, struct stream *to, uint64_t *left, uint64_t *moved);
