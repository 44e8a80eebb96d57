/* answers: what a loop asks about the gateway as a whole, for a client of an internal listener. */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/ask.h"
#include "proxy/traffic.h"
#include "run/control_state.h"

static void run_answered(struct loop *loop, struct job *job)
{
    (void)loop;
    exchange_answered((struct ask *)(void *)job);
}

static void run_asked(struct loop *loop, struct job *job)
{
    struct ask *a = (struct ask *)(void *)job;
    struct control *c = the_control;
    struct lua_result got[3];
    const char *question = a->question;
    (void)loop;
    if (lua_ask(c->L, "answer", &question, 1, got, 3) && got[1].text) {
        a->status = (int)got[0].number;
        a->text = got[1].text;
        a->len = got[1].len;
        snprintf(a->type, sizeof a->type, "%s", got[2].text);
        free(got[2].text);
    }
    a->job.run = run_answered;
    loop_post(a->home, &a->job);
}

void answers_ask(struct plane *p, struct ask *a)
{
    (void)p;
    a->job.run = run_asked;
    loop_post(the_control->loop, &a->job);
}
