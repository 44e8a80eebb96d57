#include "net/stream_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <unistd.h>

/* OpenSSL reads through a BIO of ours that knows whether the last recv emptied the socket: with edge-triggered events
 * that saves one failing recv per message. Where the kernel does TLS itself, OpenSSL insists on its own socket BIO. */
static BIO_METHOD *our_bio;
static bool kernel_tls;

static int bio_read(BIO *bio, char *at, int size)
{
    struct stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got;
    do
        got = recv(s->io.fd, at, (size_t)size, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0 && got < size && !(s->io.ready & IO_HUP))
        s->io.ready &= (uint8_t)~IO_READABLE;
    if (got < 0 && errno == EAGAIN) {
        s->io.ready &= (uint8_t)~IO_READABLE;
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static int bio_write(BIO *bio, const char *at, int len)
{
    struct stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t sent;
    do
        sent = send(s->io.fd, at, (size_t)len, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < len)
        s->io.ready &= (uint8_t)~IO_WRITABLE;
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN))
        BIO_set_retry_write(bio);
    return (int)sent;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void set_up_once(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* Without the module the kernel does not know the name; with it, it only misses the connection. */
    kernel_tls = fd >= 0 && setsockopt(fd, SOL_TCP, TCP_ULP, "tls", 3) < 0 && errno != ENOENT && errno != ENOPROTOOPT;
    if (fd >= 0)
        close(fd);
    our_bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "stream");
    BIO_meth_set_read(our_bio, bio_read);
    BIO_meth_set_write(our_bio, bio_write);
    BIO_meth_set_ctrl(our_bio, bio_ctrl);
}

static enum rc failed(struct stream *s, int result)
{
    int why = SSL_get_error(s->tls, result);
    if (why == SSL_ERROR_WANT_READ) {
        s->io.ready &= (uint8_t)~IO_READABLE;
        return RC_AGAIN;
    }
    if (why == SSL_ERROR_WANT_WRITE) {
        s->io.ready &= (uint8_t)~IO_WRITABLE;
        return RC_AGAIN;
    }
    /* OpenSSL wants its queue of errors empty before each call. Emptying it after a failure, not before every call,
     * keeps it off the hot path. A handshake's words are kept for whoever asks. */
    if (SSL_is_init_finished(s->tls))
        ERR_clear_error();
    return why == SSL_ERROR_ZERO_RETURN ? RC_EOF : RC_RESET;
}

static enum rc tls_read(struct stream *s, char *at, size_t size, size_t *n)
{
    *n = 0;
    do {                        /* one record a turn, as long as OpenSSL holds more bytes */
        int got = SSL_read(s->tls, at + *n, (int)(size - *n));
        if (got <= 0) {
            enum rc rc = failed(s, got);
            if (*n == 0)
                return rc;
            if (rc != RC_AGAIN)
                s->io.ready |= IO_READABLE;     /* the next read meets the end again */
            return RC_OK;
        }
        *n += (size_t)got;
    } while (*n < size && SSL_has_pending(s->tls));
    if (SSL_has_pending(s->tls))
        s->io.ready |= IO_READABLE;
    return RC_OK;
}

static enum rc tls_write(struct stream *s, struct slice bytes, size_t *n)
{
    *n = 0;
    while (*n < bytes.len) {
        int sent = SSL_write(s->tls, bytes.at + *n, (int)(bytes.len - *n));
        if (sent <= 0) {
            enum rc rc = failed(s, sent);
            return rc == RC_AGAIN && *n ? RC_OK : rc == RC_EOF ? RC_RESET : rc;
        }
        *n += (size_t)sent;
    }
    return RC_OK;
}

static enum rc tls_handshake(struct stream *s)
{
    ERR_clear_error();
    int result = SSL_do_handshake(s->tls);
    if (result != 1)
        return failed(s, result);
    if (SSL_has_pending(s->tls))
        s->io.ready |= IO_READABLE;
    return RC_OK;
}

static void tls_shut(struct stream *s)
{
    ERR_clear_error();
    if (SSL_is_init_finished(s->tls))
        SSL_shutdown(s->tls);           /* the peer may be gone: nothing to do about it */
    ERR_clear_error();
    (void)shutdown(s->io.fd, SHUT_WR);
}

static void tls_close(struct stream *s)
{
    struct tls_context *t = SSL_get_app_data((SSL *)s->tls);
    ERR_clear_error();
    if (SSL_is_init_finished(s->tls) && !(SSL_get_shutdown(s->tls) & SSL_SENT_SHUTDOWN))
        SSL_shutdown(s->tls);
    SSL_free(s->tls);
    ERR_clear_error();
    s->tls = NULL;
    tls_context_drop(t);
    io_close(&s->io);
}

/* RFC 8446 section 6.1: a close_notify would say that all has been sent. */
static void tls_abort(struct stream *s)
{
    SSL_set_quiet_shutdown(s->tls, 1);
    stream_reset_on_close(s);
    tls_close(s);
}

static const struct stream_ops tls_ops = { tls_read, tls_write, tls_handshake, tls_shut, tls_close, tls_abort };

static SSL *attach(struct stream *s, struct tls_context *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_once);
    SSL *ssl = SSL_new(tls_context_ssl_ctx(t));
    if (!ssl)
        return NULL;
    BIO *bio = kernel_tls ? BIO_new_socket(s->io.fd, BIO_NOCLOSE) : BIO_new(our_bio);
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    if (!kernel_tls) {
        BIO_set_data(bio, s);
        BIO_set_init(bio, 1);
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, t);
    tls_context_keep(t);
    s->tls = ssl;
    s->ops = &tls_ops;
    return ssl;
}

void stream_tls_moved(struct stream *s)
{
    if (!kernel_tls)
        BIO_set_data(SSL_get_rbio(s->tls), s);
}

bool stream_tls_accept(struct stream *s, struct tls_context *t)
{
    SSL *ssl = attach(s, t);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl != NULL;
}

bool stream_tls_connect(struct stream *s, struct tls_context *t, const char *server_name)
{
    SSL *ssl = attach(s, t);
    if (!ssl)
        return false;
    SSL_set_connect_state(ssl);
    struct in6_addr ip;
    bool is_ip = inet_pton(AF_INET, server_name, &ip) == 1 || inet_pton(AF_INET6, server_name, &ip) == 1;
    if (!is_ip)
        SSL_set_tlsext_host_name(ssl, server_name);     /* RFC 6066 section 3: names only */
    return is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name) == 1
                 : SSL_set1_host(ssl, server_name) == 1;
}

struct tls_facts stream_tls_facts(const struct stream *s)
{
    if (!s->tls)
        return (struct tls_facts){ NULL, NULL, NULL };
    return (struct tls_facts){ SSL_get_version(s->tls), SSL_get_cipher_name(s->tls),
                               SSL_get_servername(s->tls, TLSEXT_NAMETYPE_host_name) };
}

static size_t alpn_of(const SSL *ssl, char *out, size_t size)
{
    const unsigned char *at;
    unsigned n;
    SSL_get0_alpn_selected(ssl, &at, &n);
    if (n > size)
        return 0;
    if (n)
        memcpy(out, at, n);
    return n;
}

static size_t fingerprint_of(const X509 *cert, char *out, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &n) != 1 || size < 2 * n)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return 2 * n;
}

static bool print_cert(BIO *to, X509 *cert, enum tls_text what)
{
    switch (what) {
    case TLS_PEER_SUBJECT: return X509_NAME_print_ex(to, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0;
    case TLS_PEER_ISSUER: return X509_NAME_print_ex(to, X509_get_issuer_name(cert), 0, XN_FLAG_RFC2253) >= 0;
    case TLS_PEER_SERIAL: return i2a_ASN1_INTEGER(to, X509_get0_serialNumber(cert)) > 0;
    case TLS_PEER_NOT_AFTER: return ASN1_TIME_print(to, X509_get0_notAfter(cert)) == 1;
    case TLS_PEER_PEM: return PEM_write_bio_X509(to, cert) == 1;
    case TLS_ALPN:
    case TLS_PEER_FINGERPRINT: break;
    }
    return false;
}

size_t stream_tls_text(const struct stream *s, enum tls_text what, char *out, size_t size)
{
    if (!s->tls)
        return 0;
    if (what == TLS_ALPN)
        return alpn_of(s->tls, out, size);
    X509 *cert = SSL_get0_peer_certificate(s->tls);
    if (!cert)
        return 0;
    if (what == TLS_PEER_FINGERPRINT)
        return fingerprint_of(cert, out, size);
    BIO *to = BIO_new(BIO_s_mem());
    if (!to)
        return 0;
    char *text;
    long n = print_cert(to, cert, what) ? BIO_get_mem_data(to, &text) : 0;
    if (n > 0 && (size_t)n <= size)
        memcpy(out, text, (size_t)n);
    BIO_free(to);
    return n > 0 && (size_t)n <= size ? (size_t)n : 0;
}

const char *stream_tls_error(const struct stream *s)
{
    long verify = s->tls ? SSL_get_verify_result(s->tls) : X509_V_OK;
    const char *words = tls_last_error();           /* empties the queue in any case */
    return verify != X509_V_OK ? X509_verify_cert_error_string(verify) : words;
}
