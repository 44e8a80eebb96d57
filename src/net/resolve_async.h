#pragma once
/* resolve_async: names to addresses, for loops: it never blocks. Answers are kept for all loops, 30 s where a name was
 * found and 3 s where it was not, for the 1,024 names used last; loops that ask the same at the same time share one
 * question. How names are found is this file's secret: today by the system's resolver (getaddrinfo) in one thread. */
#include "base/rc.h"
#include "net/addr.h"
#include "net/loop.h"

enum { RESOLVED_MAX = 8 };

struct resolved {
    int count;                          /* of the addresses, in the order in which they should be tried */
    struct addr at[RESOLVED_MAX];       /* with the port that was asked for, each once */
    char why[384];                      /* the reason, where there are none: "cannot resolve NAME: ..." */
};

/* Told when there is an answer: in the loop's thread, from the loop, never from within resolve_async. Ask again then.
 * who is whatever the asker gave: let it be the number of something that goes stale safely (base/slots.h, a coroutine's
 * wait), because there is no taking back a question: the asker may be gone. Not called any more once the loop ends. */
typedef void resolve_fn(struct loop *loop, double who);

/* Asks for the addresses of a name, or of a literal ("127.0.0.1", "::1", "[::1]"), which is known at once.
 * RC_OK        out has them
 * RC_AGAIN     fn(loop, who) is called when the answer is there; out is untouched
 * RC_UNREACHABLE  there are none, or too many names are being asked for: out->why says so */
enum rc resolve_async(struct loop *loop, struct slice name, uint16_t port, struct resolved *out, resolve_fn *fn,
                      double who);
