#include "net/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TURNS = 16 };            /* so that one fast transfer does not keep the loop from others */

enum rc pipe_take(struct pipes *all, struct pipe *p)
{
    int fds[2];
    if (all->count) {
        *p = all->kept[--all->count];
        return RC_OK;
    }
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return RC_LIMIT;
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);      /* the default is only slower */
    *p = (struct pipe){ fds[0], fds[1], 0 };
    return RC_OK;
}

void pipe_give(struct pipes *all, struct pipe *p)
{
    if (p->held == 0 && all->count < PIPES_KEPT) {
        all->kept[all->count++] = *p;
        return;
    }
    close(p->in);
    close(p->out);
}

void pipes_free(struct pipes *all)
{
    while (all->count) {
        struct pipe p = all->kept[--all->count];
        close(p.in);
        close(p.out);
    }
}

static enum rc drain(struct pipe *p, struct stream *to, uint64_t *moved)
{
    while (p->held) {
        ssize_t n = splice(p->in, NULL, to->io.fd, NULL, p->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            p->held -= (size_t)n;
            *moved += (uint64_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            to->io.ready &= (uint8_t)~IO_WRITABLE;
            return RC_AGAIN;
        } else if (n == 0 || errno != EINTR) {
            return RC_CLIENT_GONE;
        }
    }
    return RC_OK;
}

enum rc pipe_move(struct pipe *p, struct stream *from, struct stream *to, uint64_t *left, uint64_t *moved)
{
    for (int turn = 0; turn < TURNS; turn++) {
        if (!(to->io.ready & IO_WRITABLE))
            return RC_AGAIN;
        enum rc rc = drain(p, to, moved);
        if (rc != RC_OK || *left == 0)
            return rc;
        if (!(from->io.ready & IO_READABLE))
            return RC_AGAIN;
        size_t want = *left < PIPE_BYTES ? (size_t)*left : PIPE_BYTES;
        ssize_t n = splice(from->io.fd, NULL, p->out, NULL, want, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            p->held += (size_t)n;
            *left -= (uint64_t)n;
        } else if (n == 0) {
            return RC_EOF;
        } else if (errno == EAGAIN) {
            from->io.ready &= (uint8_t)~IO_READABLE;
            return RC_AGAIN;
        } else if (errno != EINTR) {
            return RC_RESET;
        }
    }
    return RC_AGAIN;
}
