#include "http/greeting.h"

#include "base/log.h"
#include "base/log_limit.h"
#include "net/proxy_protocol.h"
#include "net/stream_tls.h"

enum greeting_step { GREETING_OVER, GREETING_PROXY, GREETING_FIRST_BYTE, GREETING_HANDSHAKE };

void greeting_init(struct greeting *g, const struct sockaddr *peer, const struct front_start *start)
{
    g->peer = peer_of(peer);
    g->local_port = start->local_port;
    g->trusts_proxy = start->trust_proxy;
    g->tls = start->tls;
    if (g->tls)
        tls_context_keep(g->tls);
    g->step = start->proxy_protocol ? GREETING_PROXY : g->tls ? GREETING_FIRST_BYTE : GREETING_OVER;
}

void greeting_end(struct greeting *g)
{
    if (g->tls)
        tls_context_drop(g->tls);
    g->tls = NULL;
}

/* Anyone who reaches the port can bring this about: the log must not fill with it. */
static void tell(const struct greeting *g, const char *what, const char *why)
{
    static _Thread_local struct log_limit limit;
    char client[ADDR_TEXT];
    client[peer_print_ip(&g->peer, client)] = 0;
    if (log_limit_passes(&limit, "front"))
        log_info("front", what, "why", why, "client", client);
}

/* Peeks, and takes just the header: what follows may be for TLS, which reads the socket itself. */
static enum rc read_proxy_header(struct greeting *g, struct stream *s, char *scratch)
{
    struct proxy_header header;
    size_t n, used;
    enum rc rc = stream_peek(s, scratch, PROXY_HEADER_MAX, &n);
    if (rc != RC_OK)
        return rc;
    rc = proxy_header_parse(slice_make(scratch, n), &header, &used);
    if (rc == RC_AGAIN && n < PROXY_HEADER_MAX)     /* no more comes after a hang-up */
        return s->io.ready & (IO_HUP | IO_ERROR) ? RC_EOF : RC_AGAIN;
    if (rc != RC_OK) {
        tell(g, "connection closed", "expected a PROXY header");
        return RC_EOF;
    }
    if (stream_read(s, scratch, used, &n) != RC_OK || n != used)
        return RC_RESET;
    if (header.has_peer && g->trusts_proxy) {
        g->peer = header.peer;
        g->local_port = header.to_port;
    }
    g->step = g->tls ? GREETING_FIRST_BYTE : GREETING_OVER;
    return RC_OK;
}

/* A TLS record begins with its type, which is no letter (RFC 8446 section 5.1); a request begins with its method. */
static enum rc look_at_first_byte(struct greeting *g, struct stream *s)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 39\r\nContent-Type: text/plain\r\n"
                                 "Connection: close\r\n\r\n400 Bad Request: this port speaks TLS.\n";
    char first;
    size_t n;
    enum rc rc = stream_peek(s, &first, 1, &n);
    if (rc != RC_OK)
        return rc;
    if (first >= 'A' && first <= 'Z') {
        tell(g, "connection closed", "plain HTTP where TLS was expected");
        (void)stream_write(s, slice_make(answer, sizeof answer - 1), &n);       /* a courtesy: it gets it or not */
        return RC_MALFORMED;
    }
    if (!stream_tls_accept(s, g->tls))
        return RC_INTERNAL;
    g->step = GREETING_HANDSHAKE;
    return RC_OK;
}

static enum rc shake_hands(struct greeting *g, struct stream *s)
{
    enum rc rc = s->ops->handshake(s);
    if (rc == RC_OK) {
        g->step = GREETING_OVER;
        greeting_end(g);                /* the stream keeps it */
    } else if (rc != RC_AGAIN) {
        tell(g, "TLS handshake failed", stream_tls_error(s));
        return RC_RESET;
    }
    return rc;
}

enum rc greeting_run(struct greeting *g, struct stream *s, struct loop *loop)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && !greeting_is_over(g))
        switch ((enum greeting_step)g->step) {
        case GREETING_PROXY: rc = read_proxy_header(g, s, loop->scratch); break;
        case GREETING_FIRST_BYTE: rc = look_at_first_byte(g, s); break;
        case GREETING_HANDSHAKE: rc = shake_hands(g, s); break;
        case GREETING_OVER: break;
        }
    return rc;
}
