/* recent_heads: what the loops have kept of the requests that they had lately, gathered for Lua. Each loop copies its
 * own between two requests; nothing is locked. Control thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/control_state.h"

enum { GATHERED_MAX = 16 << 20 };

struct gather { struct job job; struct acks *acks; struct buf out; };

static void add_number(struct buf *out, uint32_t n)
{
    char digits[12];
    int len = snprintf(digits, sizeof digits, "%u", n);
    (void)buf_append(out, slice_make(digits, (size_t)len));
}

/* A buf that is full takes no more: what is missing then is the newest of many. */
static void add_head(void *who, const struct recent_seen *seen)
{
    struct buf *out = who;
    const struct slice tab = SLICE_OF("\t");
    add_number(out, seen->listener);
    (void)buf_append(out, tab);
    (void)buf_append(out, seen->method);
    (void)buf_append(out, tab);
    (void)buf_append(out, seen->host);
    (void)buf_append(out, tab);
    (void)buf_append(out, seen->path);
    (void)buf_append(out, tab);
    (void)buf_append(out, seen->client);
    (void)buf_append(out, SLICE_OF("\n"));
}

static void run_gather(struct loop *loop, struct job *job)
{
    struct gather *g = (struct gather *)(void *)job;
    recent_each(&plane_of(loop)->recent, add_head, &g->out);
    acks_give(g->acks);
}

char *tide_recent_heads(void)
{
    struct control *c = the_control;
    struct buf all;
    struct acks acks;
    buf_init(&all, GATHERED_MAX);
    for (uint32_t i = 0; c && !c->cut_ms && i < c->loop_count; i++) {
        struct gather g = { .job.run = run_gather, .acks = &acks };
        buf_init(&g.out, GATHERED_MAX / LOOPS_MAX);
        acks_init(&acks, 1);
        loop_post(c->loops[i].plane.loop, &g.job);
        acks_wait(&acks);
        (void)buf_append(&all, buf_slice(&g.out));
        buf_reset(&g.out);
    }
    struct slice got = buf_slice(&all);
    char *text = malloc(got.len + 1);
    if (!text)
        abort();
    if (got.len)
        memcpy(text, got.at, got.len);
    text[got.len] = 0;
    buf_reset(&all);
    return text;
}

bool tide_listener_address(uint32_t number, const char **address)
{
    for (const struct bound *b = the_control ? the_control->bound : NULL; b; b = b->next)
        if (b->id == number) {
            *address = b->address;
            return true;
        }
    return false;
}
