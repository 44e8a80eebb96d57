#pragma once
/* dict_limit: what limiters count with, in a dictionary: each call takes from an allowance and tells what is left, in
 * one step for all threads. An entry expires when it would say the same as none. What is refused costs nothing. Rates,
 * limits and windows are positive; a cost of 0 only asks. */
#include "base/dict.h"

struct dict_taken {
    bool allowed;
    double remaining;           /* what may still be taken now, 0 or more */
    double retry_after_s;       /* until this cost would be allowed; 0 where it was, INFINITY where it never will be */
    double reset_s;             /* until the whole allowance is there again, if nothing more is taken */
};

/* A bucket of `burst` tokens that `rate` tokens per second flow into. */
struct dict_bucket { double rate, burst; };

enum dict_answer dict_bucket_take(struct dict *d, const struct dict_key *key, const struct dict_bucket *bucket,
                                  double cost, double now_s, struct dict_taken *out);

/* At most `limit` in a window of so many seconds, which begins with the first that is taken. Sliding: the window before
 * counts as well, for as much of it as lies within window_s before now, as if it had been taken evenly. */
struct dict_window { double limit, window_s; bool sliding; };

enum dict_answer dict_window_take(struct dict *d, const struct dict_key *key, const struct dict_window *window,
                                  double cost, double now_s, struct dict_taken *out);
