#pragma once
/* ws_end: what one end of a relay gets: frames that are passed on, frames of our own, and how it is told that it is
 * over. Private to ws_relay and ws_scan. */
#include "http/ws_relay.h"

static inline struct ws_end *ws_end_other(struct ws_relay *r, const struct ws_end *e)
{
    return &r->ends[e == &r->ends[0]];
}
static inline bool ws_end_is_server(const struct ws_relay *r, const struct ws_end *e)
{
    return e == &r->ends[WS_SERVER];
}

/* Bytes that are passed on still reach it: its close frame has not left, but may wait for the end of the frame under
 * way. */
static inline bool ws_end_takes_more(const struct ws_end *e) { return !e->was_told || buf_len(&e->later); }

enum rc ws_end_write_kept(struct ws_relay *r, struct ws_end *e);      /* private: the slow path of ws_end_drain */
/* Writes what is kept for it. RC_OK: nothing is left; RC_AGAIN. */
static inline enum rc ws_end_drain(struct ws_relay *r, struct ws_end *e)
{
    return buf_len(&e->kept) ? ws_end_write_kept(r, e) : RC_OK;
}
/* Writes bytes; what it does not take at once is kept. */
void ws_end_put(struct ws_relay *r, struct ws_end *e, struct slice bytes);
/* A frame of ours: it goes behind the frame under way, with ws_end_put_later. RC_LIMIT: too many wait already. */
enum rc ws_end_add_frame(struct ws_relay *r, struct ws_end *e, struct ws_head h, struct slice data);
void ws_end_put_frames(struct ws_relay *r, struct ws_end *e);         /* private: the slow path of ws_end_put_later */
static inline void ws_end_put_later(struct ws_relay *r, struct ws_end *e)
{
    if (buf_len(&e->later))
        ws_end_put_frames(r, e);
}
/* Nothing of a frame is under way to it. Where messages are put together, frames leave whole. */
static inline bool ws_end_is_between(struct ws_relay *r, const struct ws_end *e)
{
    return r->rules->sees_messages || !ws_end_other(r, e)->check.left;
}

/* A close frame of ours, where it can still get one. */
void ws_end_tell(struct ws_relay *r, struct ws_end *e, unsigned code, struct slice reason);
/* Notes why the relay ends; the first reason counts. why: static text, or NULL. */
void ws_end_begin_end(struct ws_relay *r, unsigned code, const struct ws_end *by, const char *why);
/* Its connection is of no use any more; the other end is told. */
void ws_end_lose(struct ws_relay *r, struct ws_end *e, const char *why);
/* It breaks the rules; both ends are told. */
void ws_end_refuse(struct ws_relay *r, struct ws_end *from, unsigned code, const char *why);
