#pragma once
/* pace: long work of a thread that leaves its core to others now and then. Where a loop has the same core, it waits for
 * all that the thread does in one go, for up to some milliseconds; so what is not that urgent is done in small pieces.
 * Who works calls pace_keep at every step, and the thread sleeps a little when it has run for a little while. */
#include <stdbool.h>
#include <stdint.h>

struct pace {                           /* of the work that a thread is at; all zero: none, and nothing rests */
    uint64_t since_us, ran_us;
    unsigned steps;
    bool is_on;
};

extern _Thread_local struct pace pace_of_thread;    /* private */

/* From here on the calling thread rests. */
void pace_begin(void);
void pace_end(void);
/* Whether what it does turned out to be long: it rests less then, so that it comes to an end. */
bool pace_is_long(void);

/* Rests where it is due, which is told by the clock; nothing where nothing has begun. For steps that take longer. */
void pace_look(void);

/* A step of up to some ten microseconds was done. */
static inline void pace_keep(void)
{
    enum { STEPS = 32 };
    struct pace *p = &pace_of_thread;
    if (p->is_on && ++p->steps % STEPS == 0)
        pace_look();
}
