#pragma once
/* ask: a question of a loop to the control thread, which knows about the whole gateway, and its answer. Whoever asks
 * may be gone when the answer comes: then nobody hears it. */
#include <stdbool.h>

#include "base/slice.h"
#include "net/loop.h"

struct exchange;

struct ask {
    struct job job;                     /* on its way to the control thread, or back */
    struct loop *home;                  /* the loop that asks */
    struct exchange *x;                 /* who asks; NULL: it is gone */
    bool answered;
    int status;                         /* of the answer */
    char *text;                         /* its body, malloc'd; NULL: none */
    size_t len;
    char type[96];                      /* its media type */
    char question[256];
};
