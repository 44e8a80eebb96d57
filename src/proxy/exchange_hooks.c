/* The exchange where plugins run: each hook a step that can be run again until its chain is through. */
#include "proxy/reply.h"
#include "proxy/steps.h"

/* The head's fields are views of memory that others will read into. */
void exchange_own_head(struct exchange *x)
{
    struct response *p = &x->res;
    if (!x->up || x->head_owned)
        return;
    headers_own(&p->headers, &x->req.arena);
    p->reason = arena_copy(&x->req.arena, p->reason);
    x->head_owned = true;
}

/* Reads on for a plugin that waits for a whole body. RC_OK: all of it is there; RC_LIMIT: more than the plugin wants;
 * RC_AGAIN; else the body is broken. */
static enum rc gather(struct exchange *x)
{
    bool is_request = x->gather == GATHER_REQUEST;
    struct buf *to = is_request ? &x->gathered : &x->gathered_response;
    to->max = UINT32_MAX;
    if (!is_request)
        exchange_own_head(x);
    for (;;) {
        struct span body;
        bool last = is_request ? x->source_ended : x->up->response_done;
        if (buf_len(to) > x->gather_max)
            return RC_LIMIT;
        if (last)
            return RC_OK;
        enum rc rc = is_request ? x->req.ops->read_body(&x->req, &body, &last) : up_read_body(x->up, &body, &last);
        if (rc == RC_AGAIN)
            wait_for(x, is_request ? WAIT_BODY : WAIT_UP_READ);
        if (rc != RC_OK && rc != RC_AGAIN && !is_request)
            exchange_note_cut(x);
        if (rc != RC_OK)
            return rc;
        touch(x, is_request ? WAIT_BODY : WAIT_UP_READ);
        if (is_request)
            x->source_ended = last;
        if (body.len && buf_append(to, slice_make(body.at, body.len)) != RC_OK)
            return RC_BODY_LIMIT;
    }
}

/* The chain waits for a body: runs it as far as it goes. Not inlined: most chains need none of its room. */
__attribute__((noinline)) static enum rc run_gathering(struct exchange *x, enum hook hook)
{
    for (;;) {
        enum rc rc = gather(x);
        if (rc != RC_OK && rc != RC_LIMIT)
            return rc;
        if (x->gather == GATHER_RESPONSE)
            x->gathered_back = true;
        x->gather = GATHER_NOTHING;
        x->plane->hooks->gathered(x);
        rc = x->plane->hooks->run(x, hook);
        if (rc != RC_AGAIN || x->gather == GATHER_NOTHING)
            return rc;
    }
}

/* A plugin's own reply, in place of whatever there was. */
static enum next answer(struct exchange *x)
{
    x->replied = false;
    x->source = SOURCE_PLUGIN;
    x->failure = RC_OK;
    exchange_drop_up(x);
    return exchange_reply(x, x->answer);
}

static enum next run_or(struct exchange *x, enum hook hook, enum next (*go_on)(struct exchange *x))
{
    enum rc rc = x->plane->hooks->run(x, hook);
    if (rc == RC_AGAIN && x->gather != GATHER_NOTHING)
        rc = run_gathering(x, hook);
    if (rc == RC_AGAIN)
        return NEXT_WAIT;
    if (rc != RC_OK)
        return exchange_fail(x, rc);
    return x->replied ? answer(x) : go_on(x);
}

enum next step_global(struct exchange *x) { return run_or(x, HOOK_REQUEST, step_route); }
enum next step_request(struct exchange *x) { return run_or(x, HOOK_REQUEST, step_action); }
enum next step_upstream(struct exchange *x) { return run_or(x, HOOK_UPSTREAM, step_pick); }

static enum next send_on(struct exchange *x)
{
    if (x->up)
        return exchange_send_response(x);
    return x->echoes ? go(x, STEP_ECHO) : go(x, STEP_ANSWER);
}

enum next step_response(struct exchange *x)
{
    if (x->up && !x->up_deaf && !x->up->request_done) {
        enum rc rc = exchange_pump_up(x);
        if (rc != RC_OK)
            return exchange_fail(x, rc);
    }
    enum next next = run_or(x, HOOK_RESPONSE, send_on);
    if (next == NEXT_WAIT)
        exchange_own_head(x);
    return next;
}

static enum next tell_failure(struct exchange *x) { return exchange_reply(x, reply_error(x, x->failure)); }

enum next step_failure(struct exchange *x) { return run_or(x, HOOK_FAILURE, tell_failure); }

/* RFC 9110 section 8.8.3: a strong validator names exact bytes; those are no longer what is sent. */
static void weaken_etag(struct exchange *x)
{
    struct header *etag = headers_find(&x->res.headers, HEADER_ETAG);
    if (!etag || slice_has_prefix(etag->value, SLICE_OF("W/")))
        return;
    char *at = arena_alloc(&x->req.arena, etag->value.len + 2);
    memcpy(at, "W/", 2);
    memcpy(at + 2, etag->value.at, etag->value.len);
    etag->value = slice_make(at, etag->value.len + 2);
    etag->line = LINE_NONE;
}

void exchange_unfix_response(struct exchange *x)
{
    struct response *p = &x->res;
    if (p->status == 204 || p->status == 304 || p->body == BODY_NONE)
        return;
    headers_skip(&p->headers, HEADER_CONTENT_LENGTH);
    headers_skip(&p->headers, HEADER_ACCEPT_RANGES);
    weaken_etag(x);
    p->body = p->body == BODY_TO_CLOSE ? BODY_TO_CLOSE : BODY_STREAMED;
    x->filters = !x->req.is_head;
}

void exchange_run_log(struct exchange *x)
{
    x->plane->hooks->cancel(x);
    (void)x->plane->hooks->run(x, HOOK_LOG);    /* an error was logged, and changes nothing any more */
}
