#include "net/outgoing.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/dial.h"
#include "net/resolve_async.h"
#include "net/stream_tls.h"
#include "net/tls_clients.h"

enum step { STEP_RESOLVE, STEP_FILES, STEP_CONNECT, STEP_HANDSHAKE, STEP_COUNT };

struct way;

struct attempt {                    /* at another address than the first, which has the owner's stream */
    struct stream stream;
    struct way *way;
};

struct way {
    struct arena arena;
    struct outgoing_target target;
    struct resolved addresses;
    struct attempt others[RESOLVED_MAX - 1];
    int begun;                      /* addresses that were tried */
    int under_way;                  /* ... of which nothing was heard yet */
    bool is_late;                   /* it is time for the next one */
    int error;                      /* errno of the last that has failed */
    enum step step;
    struct tls_context *context;
    struct loop *loop;
    lookup_fn *fn;
    double who;
    struct grave grave;
};

enum rc outgoing_begin(struct outgoing *o, struct loop *loop, const struct outgoing_target *target,
                       void (*on_event)(struct io *io), lookup_fn *fn, double who)
{
    struct way *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    arena_init(&w->arena, 512);
    *o = (struct outgoing){ .loop = loop, .way = w, .kind = target->kind };
    o->stream.io = (struct io){ .fd = -1, .on_event = on_event };
    w->loop = loop;
    w->fn = fn;
    w->who = who;
    for (int i = 0; i < RESOLVED_MAX - 1; i++)
        w->others[i] = (struct attempt){ .stream.io.fd = -1, .way = w };
    w->target = *target;
    w->target.host = arena_copy(&w->arena, target->host);
    w->target.server_name = arena_copy(&w->arena, target->server_name);
    w->target.tls.ca = arena_copy(&w->arena, target->tls.ca);
    w->target.tls.cert = arena_copy(&w->arena, target->tls.cert);
    w->target.tls.key = arena_copy(&w->arena, target->tls.key);
    if (!target->is_unix)
        return RC_OK;
    w->addresses.count = 1;
    return addr_set_unix(w->target.host, &w->addresses.at[0]) ? RC_OK : RC_MALFORMED;
}

static void free_way(struct grave *g) { free(LINK_OWNER(g, struct way, grave)); }

static void end_way(struct outgoing *o)
{
    struct way *w = o->way;
    if (!w)
        return;
    tls_context_drop(w->context);
    arena_free(&w->arena);
    loop_bury(w->loop, &w->grave, free_way);
    o->way = NULL;
}

/* -- the race of the addresses -- */

static struct stream *stream_of(struct outgoing *o, int i) { return i ? &o->way->others[i - 1].stream : &o->stream; }

static void on_other_event(struct io *io)
{
    struct way *w = LINK_OWNER(io, struct attempt, stream.io)->way;
    w->fn(w->loop, w->who);
}

/* Opens a socket and begins to connect. 0, or the errno. */
static int open_socket(struct outgoing *o, int i)
{
    struct stream *s = stream_of(o, i);
    void (*on_event)(struct io *io) = i ? on_other_event : s->io.on_event;
    int error = dial(o->loop, s, &o->way->addresses.at[i], o->kind == OUTGOING_DATAGRAM ? DIAL_DATAGRAM : DIAL_SOCKET);
    s->io.on_event = on_event;
    if (error && error != EINPROGRESS)
        return error;
    if (loop_add(o->loop, &s->io))
        return 0;
    error = errno;
    stream_close(s);
    return error;
}

static void close_all_but(struct outgoing *o, int winner)
{
    for (int i = 0; i < o->way->begun; i++)
        if (i != winner)
            stream_close(stream_of(o, i));
}

/* The first one that is connected; those that have failed are closed. -1: there is none. */
static int find_winner(struct outgoing *o)
{
    struct way *w = o->way;
    for (int i = 0; i < w->begun; i++) {
        struct stream *s = stream_of(o, i);
        if (s->io.fd < 0 || !(s->io.ready & (IO_WRITABLE | IO_ERROR | IO_HUP)))
            continue;
        int error = dial_result(s);
        if (error == 0)
            return i;
        stream_close(s);
        w->error = error;
        w->under_way--;
        w->is_late = true;          /* RFC 8305 section 5: the next one at once */
    }
    return -1;
}

/* -- steps: RC_OK goes on with the step that way.step names -- */

static enum rc step_resolve(struct outgoing *o, char *why, size_t size)
{
    struct way *w = o->way;
    if (!w->target.is_unix) {
        enum rc rc = resolve_async(o->loop, w->target.host, w->target.port, &w->addresses, w->fn, w->who);
        if (rc == RC_AGAIN)
            return rc;
        if (rc != RC_OK) {
            snprintf(why, size, "%s", w->addresses.why);
            return rc;
        }
    }
    w->step = STEP_FILES;
    return RC_OK;
}

static enum rc step_files(struct outgoing *o, char *why, size_t size)
{
    static const char prefix[] = "tls: ";
    struct way *w = o->way;
    enum rc rc = RC_OK;
    snprintf(why, size, "%s", prefix);
    if (w->target.is_tls)
        rc = tls_client_ask(o->loop, &w->target.tls, w->fn, w->who, &w->context, why + sizeof prefix - 1,
                            size - sizeof prefix + 1);
    if (rc == RC_OK)
        w->step = STEP_CONNECT;
    return rc;
}

static enum rc say_why(struct way *w, char *why, size_t size)
{
    switch (w->error) {
    case ECONNREFUSED: snprintf(why, size, "refused"); return RC_REFUSED;
    case ENOENT: snprintf(why, size, "refused: there is no such socket"); return RC_REFUSED;
    case EAGAIN: snprintf(why, size, "refused: too many wait for it already"); return RC_REFUSED;
    case ETIMEDOUT: snprintf(why, size, "timeout"); return RC_CONNECT_TIMEOUT;
    default: snprintf(why, size, "unreachable: %s", strerror(w->error)); return RC_UNREACHABLE;
    }
}

/* Begins with the next address where it is its turn: no other is being tried, or those take too long. */
static bool begin_next(struct outgoing *o)
{
    struct way *w = o->way;
    bool is_turn = w->under_way == 0 || w->is_late;
    w->is_late = false;
    while (is_turn && w->begun < w->addresses.count) {
        int error = open_socket(o, w->begun++);
        if (error == 0) {
            w->under_way++;
            return true;
        }
        w->error = error;
    }
    return false;
}

static bool begin_tls(struct outgoing *o)
{
    struct way *w = o->way;
    if (!stream_tls_connect(&o->stream, w->context, w->target.server_name.at))
        return false;
    /* The context names HTTP, which is not for us to say: RFC 7301 section 3.2 lets a server end it there. */
    return SSL_set_alpn_protos(o->stream.tls, NULL, 0) == 0;
}

static enum rc win(struct outgoing *o, int winner, char *why, size_t size)
{
    struct way *w = o->way;
    close_all_but(o, winner);
    w->under_way = 0;
    w->error = winner ? dial_move(o->loop, stream_of(o, winner), &o->stream) : 0;
    if (w->error)
        return say_why(w, why, size);
    if (w->target.is_tls && !o->stream.wire && !begin_tls(o)) {
        snprintf(why, size, "tls: cannot begin for \"%.*s\"", (int)w->target.server_name.len, w->target.server_name.at);
        return RC_UPSTREAM_TLS;
    }
    w->step = STEP_HANDSHAKE;
    return RC_OK;
}

static enum rc step_connect(struct outgoing *o, char *why, size_t size)
{
    int winner = find_winner(o);
    if (winner >= 0)
        return win(o, winner, why, size);
    if (begin_next(o))
        return RC_OK;                   /* it may be connected already */
    return o->way->under_way ? RC_AGAIN : say_why(o->way, why, size);
}

static enum rc step_handshake(struct outgoing *o, char *why, size_t size)
{
    enum rc rc = o->stream.ops->handshake(&o->stream);
    if (rc == RC_AGAIN)
        return rc;
    if (rc == RC_OK) {
        end_way(o);
        return rc;
    }
    bool has_words = ERR_peek_error() != 0 || SSL_get_verify_result(o->stream.tls) != X509_V_OK;
    snprintf(why, size, "tls: %s", has_words ? stream_tls_error(&o->stream) : "closed in the middle of the handshake");
    return RC_UPSTREAM_TLS;
}

static enum rc (*const steps[STEP_COUNT])(struct outgoing *, char *, size_t) = {
    [STEP_RESOLVE] = step_resolve,
    [STEP_FILES] = step_files,
    [STEP_CONNECT] = step_connect,
    [STEP_HANDSHAKE] = step_handshake,
};

enum rc outgoing_step(struct outgoing *o, char *why, size_t size)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && o->way)
        rc = steps[o->way->step](o, why, size);
    return rc;
}

int outgoing_left(const struct outgoing *o)
{
    const struct way *w = o->way;
    return w && w->under_way ? w->addresses.count - w->begun : 0;
}

void outgoing_hurry(struct outgoing *o)
{
    if (o->way)
        o->way->is_late = o->way->under_way > 0;
}

/* -- datagrams -- */

static enum rc datagram_error(struct outgoing *o, uint8_t direction)
{
    switch (errno) {
    case EAGAIN: o->stream.io.ready &= (uint8_t)~direction; return RC_AGAIN;
    case EMSGSIZE: return RC_LIMIT;
    case ECONNREFUSED: return RC_REFUSED;
    default: return RC_RESET;
    }
}

enum rc outgoing_read_datagram(struct outgoing *o, char *at, size_t size, size_t *n)
{
    ssize_t got;
    do
        got = recv(o->stream.io.fd, at, size, MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return datagram_error(o, IO_READABLE);
    if ((size_t)got > size)
        return RC_LIMIT;
    *n = (size_t)got;
    return RC_OK;
}

enum rc outgoing_write_datagram(struct outgoing *o, struct slice bytes)
{
    ssize_t sent;
    do
        sent = send(o->stream.io.fd, bytes.at, bytes.len, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? datagram_error(o, IO_WRITABLE) : RC_OK;
}

void outgoing_close(struct outgoing *o)
{
    if (o->way)
        close_all_but(o, -1);
    stream_close(&o->stream);
    end_way(o);
}
