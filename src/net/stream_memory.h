#pragma once
/* stream_memory: a byte stream without a socket, for specs. Its far end is a struct wire: whoever holds it plays the
 * peer. What the wire sends is read from the stream, what is written to the stream can be taken from the wire; neither
 * is ever full. One thread. */
#include "base/buf.h"
#include "net/stream.h"

struct wire {
    struct stream *stream;          /* NULL: it is closed */
    struct buf in, out;             /* towards the stream; from it */
    int error;                      /* errno of a connection that came to nothing */
    bool ended, is_reset;           /* by the peer */
    bool shut;                      /* the stream will write no more */
};

/* Makes *s an open stream, or one that is still connecting, with a new wire at its end. Both stay where they are. */
void stream_memory_init(struct stream *s, struct wire *w, bool is_open);

/* -- the peer's side; the stream's on_event is called at once, as within a batch of the loop -- */

/* The connection is there, or (error: an errno) will not be. */
void wire_open(struct wire *w);
void wire_refuse(struct wire *w, int error);
/* False: nobody reads it any more. */
bool wire_send(struct wire *w, struct slice bytes);
/* Nothing more will be sent; what the stream writes is still taken. */
void wire_end(struct wire *w);
void wire_reset(struct wire *w);
/* What was written and not taken yet: w->out. Frees what is left; the stream must be closed. */
void wire_free(struct wire *w);
