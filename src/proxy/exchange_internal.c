/* The exchange of a listener that answers about the gateway itself: its metrics. The control thread has the answer. */
#include <stdlib.h>

#include "proxy/ask.h"
#include "proxy/reply.h"
#include "proxy/steps.h"

static enum next refuse(struct exchange *x, enum rc rc)
{
    x->failure = rc;
    return exchange_reply(x, reply_error(x, rc));
}

static enum next ask(struct exchange *x)
{
    struct ask *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->home = loop_of(x);
    a->x = x;
    memcpy(a->question, "metrics", 8);
    x->ask = a;
    x->plane->ask(x->plane, a);
    return NEXT_WAIT;
}

enum next step_internal(struct exchange *x)
{
    const struct request *r = &x->req;
    struct ask *a = x->ask;
    x->step = STEP_INTERNAL;
    static const struct router_answer reading = { .allowed = 1u << METHOD_GET | 1u << METHOD_HEAD };
    if (a && !a->answered)
        return NEXT_WAIT;
    if (!a) {
        if (!slice_equal(r->path, x->generation->gateway.metrics_path))
            return refuse(x, RC_NO_ROUTE);
        if (r->method != METHOD_GET && r->method != METHOD_HEAD)
            return exchange_reply(x, reply_method_not_allowed(x, &reading));
        return ask(x);
    }
    if (!a->text)
        return refuse(x, RC_INTERNAL);
    struct slice text = arena_copy(&x->req.arena, slice_make(a->text, a->len));
    reply_begin(x, a->status);
    reply_type(x, arena_copy(&x->req.arena, slice_text(a->type)));
    exchange_set_answer(x, text);
    return exchange_reply(x, x->answer);
}

void exchange_forget_ask(struct exchange *x)
{
    struct ask *a = x->ask;
    if (!a)
        return;
    x->ask = NULL;
    a->x = NULL;
    if (!a->answered)
        return;                         /* still away: it is freed when it comes back */
    free(a->text);
    free(a);
}

void exchange_answered(struct ask *a)
{
    a->answered = true;
    if (a->x) {
        loop_ready(loop_of(a->x), &a->x->wake);
        return;
    }
    free(a->text);
    free(a);
}
