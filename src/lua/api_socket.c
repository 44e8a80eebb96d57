/* api_socket: the sockets of plugins. Each has a buffer of its own: the loop's scratch may hold a body. A socket is not
 * bound to a coroutine, but a call that is under way is: when its coroutine is dropped, the socket is closed, because
 * nobody knows what is still to come on it. */
#include <stdio.h>
#include <stdlib.h>

#include "lua/api.h"
#include "lua/coroutine.h"
#include "net/outgoing.h"

enum {
    SOCKETS_OPEN_MAX = 10000,           /* per loop */
    PIECE_BYTES = 64 * 1024,            /* what is gathered here before Lua takes it */
    READ_BYTES = 16 * 1024,
};

struct use {                            /* a call that is under way */
    struct belonging belonging;
    double wait;                        /* of its coroutine; 0: there is none */
};

struct lua_socket {
    struct outgoing out;
    struct grave grave;
    double number;
    struct buf in;
    size_t taken;                       /* bytes of `in` that Lua has seen */
    size_t scanned;                     /* ... that were searched in vain */
    enum rc end;                        /* RC_OK while more may come */
    struct use in_use, out_use;
    bool is_idle;
    struct deadline idle;
};

struct sockets {                        /* of one loop */
    struct vm *vm;
    struct slots slots;
    uint32_t count;
    struct ending ending;
};

static _Thread_local struct sockets *here;

static struct loop *loop_of(const struct sockets *all) { return all->vm->plane->loop; }

static struct lua_socket *find(double number) { return here ? slots_get(&here->slots, number) : NULL; }

/* -- closing -- */

static void free_socket(struct grave *g) { free(LINK_OWNER(g, struct lua_socket, grave)); }

static void close_socket(struct lua_socket *s)
{
    struct loop *loop = loop_of(here);
    slots_remove(&here->slots, s->number);
    here->count--;
    deadline_remove(&loop->deadlines, &s->idle);
    link_remove(&s->in_use.belonging.in_coroutine);
    link_remove(&s->out_use.belonging.in_coroutine);
    buf_reset(&s->in);
    outgoing_close(&s->out);
    loop_bury(loop, &s->grave, free_socket);
}

void tide_socket_close(double socket)
{
    struct lua_socket *s = find(socket);
    if (!s)
        return;
    coroutine_wake(here->vm, s->in_use.wait);       /* they come back, and find it gone */
    coroutine_wake(here->vm, s->out_use.wait);
    close_socket(s);
}

/* The states of all loops have let go of their sockets by now. */
static void on_loop_end(struct loop *loop, struct ending *e)
{
    struct sockets *all = LINK_OWNER(e, struct sockets, ending);
    (void)loop;
    slots_free(&all->slots);
    free(all);
}

/* -- who waits -- */

static struct use *use_of(struct lua_socket *s, int way) { return way == TIDE_SOCKET_IN ? &s->in_use : &s->out_use; }

static void on_give_up_in(struct belonging *b) { close_socket(LINK_OWNER(b, struct lua_socket, in_use.belonging)); }
static void on_give_up_out(struct belonging *b) { close_socket(LINK_OWNER(b, struct lua_socket, out_use.belonging)); }

static void set_wait(struct use *u, double wait)
{
    struct coroutine *co = here->vm->current;
    link_remove(&u->belonging.in_coroutine);
    u->wait = wait;
    if (wait != 0 && co)
        list_append(&co->belongings, &u->belonging.in_coroutine);
}

void tide_socket_await(double socket, int way, double wait)
{
    struct lua_socket *s = find(socket);
    if (s)
        set_wait(use_of(s, way), wait);
}

int tide_socket_is_busy(double socket, int way)
{
    struct lua_socket *s = find(socket);
    return s && use_of(s, way)->wait != 0;
}

/* DONE: the caller, who comes back from that wait (0: from none), may go on. */
static enum tide_socket_result claim(struct lua_socket *s, struct use *u, double wait)
{
    if (u->wait != 0 && u->wait != wait)
        return TIDE_SOCKET_BUSY;
    set_wait(u, 0);
    return s->is_idle ? TIDE_SOCKET_GONE : TIDE_SOCKET_DONE;
}

/* -- events -- */

/* As in proxy/pool: what an idle one says is its end, or what nobody has asked for. Only TLS may have something to say
 * of its own, a session ticket. */
static bool is_quiet(struct lua_socket *s)
{
    char byte;
    size_t n;
    if (!(s->out.stream.io.ready & (IO_READABLE | IO_HUP | IO_ERROR)))
        return true;
    return s->out.kind == OUTGOING_STREAM && stream_read(&s->out.stream, &byte, 1, &n) == RC_AGAIN;
}

static void on_event(struct io *io)
{
    struct lua_socket *s = LINK_OWNER(io, struct lua_socket, out.stream.io);
    if (s->is_idle) {
        if (!is_quiet(s))
            close_socket(s);
        return;
    }
    /* TLS may have to read before it can write, and the other way round. */
    if (s->out.stream.tls || io->ready & (IO_READABLE | IO_HUP | IO_ERROR))
        coroutine_wake(here->vm, s->in_use.wait);
    if (s->out.stream.tls || io->ready & (IO_WRITABLE | IO_HUP | IO_ERROR))
        coroutine_wake(here->vm, s->out_use.wait);
}

static void on_found(struct loop *loop, double who)
{
    struct lua_socket *s = find(who);
    (void)loop;
    if (s)
        coroutine_wake(here->vm, s->out_use.wait);
}

static void on_idle_end(struct deadline *d) { close_socket(LINK_OWNER(d, struct lua_socket, idle)); }

/* -- opening -- */

static struct sockets *sockets_here(void)
{
    if (here || !vm_here())
        return here;
    here = calloc(1, sizeof *here);
    if (!here)
        abort();
    here->vm = vm_here();
    loop_at_end(loop_of(here), &here->ending, on_loop_end);
    return here;
}

static struct slice text_or_none(const char *text) { return text ? slice_text(text) : SLICE_NONE; }

double tide_socket_new(const struct tide_socket_target *t, struct tide_error *e)
{
    struct sockets *all = sockets_here();
    if (!all) {
        snprintf(e->text, sizeof e->text, "there is no loop in this process");
        return -1;
    }
    if (all->count == SOCKETS_OPEN_MAX)
        return 0;
    struct outgoing_target target = {
        .kind = t->is_datagram ? OUTGOING_DATAGRAM : OUTGOING_STREAM,
        .is_unix = t->unix_path != NULL,
        .is_tls = t->is_tls,
        .host = text_or_none(t->unix_path ? t->unix_path : t->host),
        .port = t->port,
        .server_name = text_or_none(t->server_name),
        .tls = { t->verify, text_or_none(t->ca), text_or_none(t->cert), text_or_none(t->key) },
    };
    struct lua_socket *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->number = slots_add(&all->slots, s);
    s->idle.fire = on_idle_end;
    s->in_use.belonging.give_up = on_give_up_in;
    s->out_use.belonging.give_up = on_give_up_out;
    buf_init(&s->in, 2 * PIECE_BYTES + READ_BYTES);
    all->count++;
    double number = s->number;
    if (outgoing_begin(&s->out, loop_of(all), &target, on_event, on_found, number) == RC_OK)
        return number;
    snprintf(e->text, sizeof e->text, "\"%s\" is no path of a unix socket: expected at most 107 bytes", t->unix_path);
    close_socket(s);
    return -1;
}

int tide_socket_connect(double socket, double wait, struct tide_error *e)
{
    struct lua_socket *s = find(socket);
    enum tide_socket_result claimed = s ? claim(s, &s->out_use, wait) : TIDE_SOCKET_GONE;
    if (claimed != TIDE_SOCKET_DONE)
        return claimed;
    switch (outgoing_step(&s->out, e->text, sizeof e->text)) {
    case RC_OK: return TIDE_SOCKET_DONE;
    case RC_AGAIN: return TIDE_SOCKET_WAIT;
    default: close_socket(s); return TIDE_SOCKET_FAILED;
    }
}

int tide_socket_left(double socket)
{
    const struct lua_socket *s = find(socket);
    return s ? outgoing_left(&s->out) : 0;
}

void tide_socket_hurry(double socket)
{
    struct lua_socket *s = find(socket);
    if (s)
        outgoing_hurry(&s->out);
}

/* -- sending -- */

static enum tide_socket_result result_of(enum rc rc)
{
    switch (rc) {
    case RC_OK: return TIDE_SOCKET_DONE;
    case RC_AGAIN: return TIDE_SOCKET_WAIT;
    case RC_EOF: return TIDE_SOCKET_ENDED;
    case RC_LIMIT: return TIDE_SOCKET_LIMIT;
    case RC_REFUSED: return TIDE_SOCKET_REFUSED;
    default: return TIDE_SOCKET_BROKEN;
    }
}

static enum rc write_some(struct lua_socket *s, struct slice bytes, size_t *n)
{
    if (s->out.way)
        return RC_RESET;                /* not open */
    if (!(s->out.stream.io.ready & IO_WRITABLE))
        return RC_AGAIN;
    if (s->out.kind == OUTGOING_STREAM)
        return stream_write(&s->out.stream, bytes, n);
    enum rc rc = outgoing_write_datagram(&s->out, bytes);
    *n = rc == RC_OK ? bytes.len : 0;
    return rc;
}

int tide_socket_send(double socket, double wait, const char *at, size_t len, double *sent)
{
    struct lua_socket *s = find(socket);
    enum tide_socket_result claimed = s ? claim(s, &s->out_use, wait) : TIDE_SOCKET_GONE;
    if (claimed != TIDE_SOCKET_DONE)
        return claimed;
    enum rc rc = RC_OK;
    do {
        size_t n = 0;
        rc = write_some(s, slice_make(at + (size_t)*sent, len - (size_t)*sent), &n);
        *sent += (double)n;
    } while (rc == RC_OK && *sent < (double)len);
    return result_of(rc);
}

/* -- receiving -- */

/* Finds the socket. The bytes of it that Lua has seen go now that it is here again. */
static enum tide_socket_result begin_receive(double socket, double wait, struct lua_socket **out, struct slice *view)
{
    struct lua_socket *s = *out = find(socket);
    *view = SLICE_NONE;
    if (!s)
        return TIDE_SOCKET_GONE;
    enum tide_socket_result claimed = claim(s, &s->in_use, wait);
    if (claimed != TIDE_SOCKET_DONE)
        return claimed;
    if (s->taken)
        buf_consume(&s->in, s->taken);
    s->taken = 0;
    if (wait == 0)
        s->scanned = 0;
    return s->out.way ? TIDE_SOCKET_BROKEN : TIDE_SOCKET_DONE;
}

static struct slice take(struct lua_socket *s, size_t n)
{
    s->taken = n;
    s->scanned = 0;
    return slice_make(s->in.at + s->in.start, n);
}

/* Reads what there is, at most a piece. Once the end has come it stays. */
static enum rc read_some(struct lua_socket *s)
{
    size_t n = 0;
    if (s->end != RC_OK)
        return s->end;
    if (!(s->out.stream.io.ready & IO_READABLE))
        return RC_AGAIN;
    char *at = buf_room(&s->in, READ_BYTES);
    if (!at)
        return RC_LIMIT;                /* a piece is taken before there is so much: cannot be */
    enum rc rc = stream_read(&s->out.stream, at, READ_BYTES, &n);
    if (rc == RC_OK)
        buf_added(&s->in, n);
    else if (rc != RC_AGAIN)
        s->end = rc;
    return rc;
}

/* Reads until n bytes are there, or as many as come before it has to wait. */
static enum rc fill(struct lua_socket *s, size_t n)
{
    enum rc rc = RC_OK;
    while (buf_len(&s->in) < n && rc == RC_OK)
        rc = read_some(s);
    return rc;
}

int tide_socket_receive(double socket, double wait, double n, struct slice *out)
{
    struct lua_socket *s;
    enum tide_socket_result began = begin_receive(socket, wait, &s, out);
    if (began != TIDE_SOCKET_DONE)
        return began;
    size_t wanted = n < PIECE_BYTES ? (size_t)n : PIECE_BYTES;
    enum rc rc = fill(s, wanted);
    if (rc == RC_AGAIN)
        return TIDE_SOCKET_WAIT;
    size_t got = buf_len(&s->in);
    *out = take(s, got < (size_t)n ? got : (size_t)n);
    return out->len == (size_t)n ? TIDE_SOCKET_DONE : rc == RC_OK ? TIDE_SOCKET_MORE : result_of(rc);
}

static enum rc receive_datagram(struct lua_socket *s, size_t max, struct slice *out)
{
    enum { DATAGRAM_MAX = 65535 };
    size_t n, size = max < DATAGRAM_MAX ? max : DATAGRAM_MAX;
    char *at = buf_room(&s->in, size);
    if (!at || !(s->out.stream.io.ready & IO_READABLE))
        return at ? RC_AGAIN : RC_LIMIT;
    enum rc rc = outgoing_read_datagram(&s->out, at, size, &n);
    if (rc == RC_OK) {
        buf_added(&s->in, n);
        *out = take(s, n);
    }
    return rc;
}

int tide_socket_receive_any(double socket, double wait, double n, struct slice *out)
{
    struct lua_socket *s;
    enum tide_socket_result began = begin_receive(socket, wait, &s, out);
    if (began != TIDE_SOCKET_DONE)
        return began;
    if (s->out.kind == OUTGOING_DATAGRAM)
        return result_of(receive_datagram(s, (size_t)n, out));
    enum rc rc = fill(s, 1);
    if (rc != RC_OK)
        return result_of(rc);
    size_t got = buf_len(&s->in);
    *out = take(s, got < (size_t)n ? got : (size_t)n);
    return TIDE_SOCKET_DONE;
}

int tide_socket_receive_until(double socket, double wait, const char *text, size_t len, struct slice *out)
{
    struct lua_socket *s;
    enum tide_socket_result began = begin_receive(socket, wait, &s, out);
    if (began != TIDE_SOCKET_DONE)
        return began;
    for (;;) {
        struct slice in = buf_slice(&s->in);
        const char *found = in.len < len ? NULL : memmem(in.at + s->scanned, in.len - s->scanned, text, len);
        if (found) {
            *out = take(s, (size_t)(found - in.at) + len);
            return TIDE_SOCKET_DONE;
        }
        s->scanned = in.len < len ? 0 : in.len - len + 1;       /* what may be the beginning of the text stays */
        if (s->scanned >= PIECE_BYTES) {
            *out = take(s, s->scanned);
            return TIDE_SOCKET_MORE;
        }
        enum rc rc = read_some(s);
        if (rc == RC_AGAIN)
            return TIDE_SOCKET_WAIT;
        if (rc != RC_OK) {
            *out = take(s, in.len);
            return result_of(rc);
        }
    }
}

int tide_socket_rest(double socket, struct slice *out)
{
    struct lua_socket *s;
    enum tide_socket_result began = begin_receive(socket, 0, &s, out);
    if (began == TIDE_SOCKET_DONE)
        *out = take(s, buf_len(&s->in));
    return began;
}

/* -- idle -- */

int tide_socket_idle(double socket, double seconds)
{
    struct lua_socket *s;
    struct slice none;
    if (begin_receive(socket, 0, &s, &none) != TIDE_SOCKET_DONE || claim(s, &s->out_use, 0) != TIDE_SOCKET_DONE)
        return TIDE_SOCKET_GONE;
    if (buf_len(&s->in) || s->end != RC_OK || !is_quiet(s)) {
        close_socket(s);
        return TIDE_SOCKET_GONE;
    }
    s->is_idle = true;
    uint64_t ms = seconds < 1e9 ? (uint64_t)(seconds * 1000) : (uint64_t)1e12;
    loop_deadline(loop_of(here), &s->idle, loop_of(here)->clock.now_ms + ms);
    return TIDE_SOCKET_DONE;
}

int tide_socket_use(double socket)
{
    struct lua_socket *s = find(socket);
    if (!s || !s->is_idle)
        return TIDE_SOCKET_GONE;
    s->is_idle = false;
    deadline_remove(&loop_of(here)->deadlines, &s->idle);
    s->out.stream.io.ready |= IO_READABLE;      /* look: an event may not have been delivered yet */
    if (is_quiet(s))
        return TIDE_SOCKET_DONE;
    close_socket(s);
    return TIDE_SOCKET_GONE;
}

int tide_socket_is_open(double socket)
{
    const struct lua_socket *s = find(socket);
    return s && !s->out.way && !s->is_idle && s->end == RC_OK;
}

int tide_socket_is_idle(double socket)
{
    const struct lua_socket *s = find(socket);
    return s && s->is_idle;
}

int tide_socket_count(void) { return here ? (int)here->count : 0; }
