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

enum step { STEP_RESOLVE, STEP_FILES, STEP_CONNECT, STEP_CONNECTING, STEP_HANDSHAKE, STEP_COUNT };

struct way {
    struct arena arena;
    struct outgoing_target target;
    struct resolved addresses;
    int next;                       /* address to try */
    int error;                      /* errno of the last that was tried */
    enum step step;
    struct tls_context *context;
    lookup_fn *fn;
    double who;
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
    w->fn = fn;
    w->who = who;
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

static void end_way(struct outgoing *o)
{
    struct way *w = o->way;
    if (!w)
        return;
    tls_context_drop(w->context);
    arena_free(&w->arena);
    free(w);
    o->way = NULL;
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

/* Opens a socket and begins to connect. 0, or the errno. */
static int open_socket(struct outgoing *o, const struct addr *to)
{
    void (*on_event)(struct io *io) = o->stream.io.on_event;
    int error = dial(o->loop, &o->stream, to, o->kind == OUTGOING_DATAGRAM ? DIAL_DATAGRAM : DIAL_SOCKET);
    o->stream.io.on_event = on_event;
    if (error && error != EINPROGRESS)
        return error;
    if (loop_add(o->loop, &o->stream.io))
        return 0;
    error = errno;
    stream_close(&o->stream);
    return error;
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

static enum rc step_connect(struct outgoing *o, char *why, size_t size)
{
    struct way *w = o->way;
    while (w->next < w->addresses.count) {
        int error = open_socket(o, &w->addresses.at[w->next]);
        if (error == 0) {
            w->step = STEP_CONNECTING;
            return RC_OK;
        }
        w->error = error;
        w->next++;
    }
    return say_why(w, why, size);
}

static bool begin_tls(struct outgoing *o)
{
    struct way *w = o->way;
    if (!stream_tls_connect(&o->stream, w->context, w->target.server_name.at))
        return false;
    /* The context names HTTP, which is not for us to say: RFC 7301 section 3.2 lets a server end it there. */
    return SSL_set_alpn_protos(o->stream.tls, NULL, 0) == 0;
}

static enum rc step_connecting(struct outgoing *o, char *why, size_t size)
{
    struct way *w = o->way;
    if (!(o->stream.io.ready & (IO_WRITABLE | IO_ERROR | IO_HUP)))
        return RC_AGAIN;
    int error = dial_result(&o->stream);
    if (error) {
        outgoing_give_up(o);
        w->error = error;
        return RC_OK;
    }
    if (w->target.is_tls && !o->stream.wire && !begin_tls(o)) {
        snprintf(why, size, "tls: cannot begin for \"%.*s\"", (int)w->target.server_name.len, w->target.server_name.at);
        return RC_UPSTREAM_TLS;
    }
    w->step = STEP_HANDSHAKE;
    return RC_OK;
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
    [STEP_CONNECTING] = step_connecting,
    [STEP_HANDSHAKE] = step_handshake,
};

enum rc outgoing_step(struct outgoing *o, char *why, size_t size)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && o->way)
        rc = steps[o->way->step](o, why, size);
    return rc;
}

int outgoing_tries(const struct outgoing *o)
{
    const struct way *w = o->way;
    return w && w->step == STEP_CONNECTING ? w->addresses.count - w->next : 0;
}

void outgoing_give_up(struct outgoing *o)
{
    struct way *w = o->way;
    if (!w || w->step != STEP_CONNECTING)
        return;
    stream_close(&o->stream);
    w->error = ETIMEDOUT;
    w->next++;
    w->step = STEP_CONNECT;
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
    if (o->stream.ops)
        stream_close(&o->stream);
    end_way(o);
}
