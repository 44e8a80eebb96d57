#include "net/tls_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

struct certificate {
    struct certificate *next;
    SSL_CTX *ctx;
    unsigned char *ocsp;
    long ocsp_bytes;
};

struct name { struct name *next; char text[]; };

struct tls_context {
    _Atomic unsigned refs;
    SSL_CTX *ctx;                       /* of the first certificate, or the client's */
    struct tls_server_settings settings;
    struct certificate *certificates;   /* newest first */
    struct name *names;                 /* the keys of the maps */
    struct map exact, wildcard;         /* name ("a.example.com", ".example.com") to SSL_CTX */
};

const char *tls_last_error(void)
{
    static _Thread_local char text[256];
    unsigned long code = ERR_get_error();
    if (!code)
        return "unknown error";
    const char *reason = ERR_reason_error_string(code);
    snprintf(text, sizeof text, "%s", reason ? reason : "unknown error");
    ERR_clear_error();
    return text;
}

/* -- files -- */

/* OpenSSL would ask the terminal for it, and wait. */
static int refuse_pass_phrase(char *at, int size, int writes, void *asked)
{
    (void)at;
    (void)size;
    (void)writes;
    *(bool *)asked = true;
    return -1;
}

static bool is_about(unsigned long error, int lib, int reason)
{
    return ERR_GET_LIB(error) == lib && ERR_GET_REASON(error) == reason;
}

/* Why a PEM file was not taken. expected: what it should hold. */
static void tell_pem(const char *expected, bool is_locked, char *why, size_t size)
{
    unsigned long error = ERR_peek_error();
    if (is_locked)
        snprintf(why, size, "it wants a pass phrase; expected a key without one");
    else if (is_about(error, ERR_LIB_PEM, PEM_R_NO_START_LINE) ||
             is_about(error, ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED) ||
             is_about(error, ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND))
        snprintf(why, size, "expected %s in PEM, found none", expected);
    else if (is_about(error, ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH) ||
             is_about(error, ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH))
        snprintf(why, size, "it does not belong to the certificate");
    else
        snprintf(why, size, "%s", tls_last_error());
    ERR_clear_error();
}

/* kind: "", or "client " in the words of an error. */
static enum rc load_pair(SSL_CTX *ctx, const char *kind, const char *cert, const char *key, char *why, size_t size)
{
    char reason[256];
    bool is_locked = false;
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, refuse_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &is_locked);
    bool has_cert = SSL_CTX_use_certificate_chain_file(ctx, cert) == 1;
    bool has_key = has_cert && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (has_key)
        return RC_OK;
    tell_pem(has_cert ? "a private key" : "a certificate", is_locked, reason, sizeof reason);
    snprintf(why, size, "cannot load the %s%s \"%s\": %s", kind, has_cert ? "private key" : "certificate",
             has_cert ? key : cert, reason);
    return RC_MALFORMED;
}

/* -- session tickets: one set of keys for all loops, RFC 5077 section 4 -- */

struct ticket_key { unsigned char name[16], aes[32], mac[32]; };

static struct {
    pthread_rwlock_t lock;
    struct ticket_key keys[3];          /* the newest first */
    int count;
} tickets = { .lock = PTHREAD_RWLOCK_INITIALIZER };

void tls_rotate_tickets(void)
{
    struct ticket_key fresh;
    if (RAND_bytes((unsigned char *)&fresh, sizeof fresh) != 1)
        return;                         /* keep the old keys: better than predictable ones */
    pthread_rwlock_wrlock(&tickets.lock);
    memmove(tickets.keys + 1, tickets.keys, 2 * sizeof tickets.keys[0]);
    tickets.keys[0] = fresh;
    if (tickets.count < 3)
        tickets.count++;
    pthread_rwlock_unlock(&tickets.lock);
}

static int use_ticket_key(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                          int encrypt)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_MAC_CTX_set_params(mac, params) != 1)
        return -1;
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, encrypt) == 1 ? 1 : -1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int encrypt)
{
    int result = encrypt ? -1 : 0;      /* 0: unknown key, a full handshake follows */
    (void)ssl;
    pthread_rwlock_rdlock(&tickets.lock);
    if (encrypt && tickets.count && RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1) {
        memcpy(name, tickets.keys[0].name, 16);
        result = use_ticket_key(&tickets.keys[0], iv, cipher, mac, 1);
    }
    for (int i = 0; !encrypt && i < tickets.count; i++)
        if (memcmp(name, tickets.keys[i].name, 16) == 0) {
            result = use_ticket_key(&tickets.keys[i], iv, cipher, mac, 0);
            if (result == 1 && i > 0)
                result = 2;             /* still good, but give a new one */
            break;
        }
    pthread_rwlock_unlock(&tickets.lock);
    return result;
}

/* -- servers -- */

static SSL_CTX *context_for_name(struct tls_context *t, struct slice name)
{
    SSL_CTX *ctx = map_get(&t->exact, name);
    const char *dot = memchr(name.at, '.', name.len);
    /* A wildcard stands for exactly one label, RFC 6125 section 6.4.3. */
    if (!ctx && dot)
        ctx = map_get(&t->wildcard, slice_from(name, (size_t)(dot - name.at)));
    return ctx;
}

static int on_server_name(SSL *ssl, int *alert, void *who)
{
    struct tls_context *t = who;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char lower[256];
    size_t len = asked ? strlen(asked) : 0;
    (void)alert;
    if (len == 0 || len >= sizeof lower)
        return SSL_TLSEXT_ERR_OK;
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)byte_lower((unsigned char)asked[i]);
    if (lower[len - 1] == '.')
        len--;
    SSL_CTX *ctx = context_for_name(t, slice_make(lower, len));
    if (ctx && ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK;
}

/* The first protocol of ours that the client offers too. None in common: go on without, RFC 7301 allows it. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *who)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl, (void)who;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_status_request(SSL *ssl, void *who)
{
    struct certificate *c = who;
    if (!c->ocsp)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(c->ocsp, (size_t)c->ocsp_bytes);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, c->ocsp_bytes);  /* takes the copy */
    return SSL_TLSEXT_ERR_OK;
}

static struct tls_context *context_new(void)
{
    struct tls_context *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->refs = 1;
    return t;
}

static void common_options(SSL_CTX *ctx)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_ENABLE_KTLS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

static enum rc set_ciphers(SSL_CTX *ctx, struct slice ciphers)
{
    static const char modern[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
    bool usual = !ciphers.len || slice_equal(ciphers, SLICE_OF("modern"));
    return SSL_CTX_set_cipher_list(ctx, usual ? modern : ciphers.at) == 1 ? RC_OK : RC_MALFORMED;
}

static enum rc set_client_auth(SSL_CTX *ctx, const struct tls_server_settings *s)
{
    if (s->client_auth == 0)
        return RC_OK;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (s->client_auth == 2 ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    if (s->client_ca.len == 0)
        return RC_OK;
    ERR_clear_error();                          /* what is found there afterwards is this file's */
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(s->client_ca.at);
    if (!names || SSL_CTX_load_verify_file(ctx, s->client_ca.at) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return RC_MALFORMED;
    }
    SSL_CTX_set_client_CA_list(ctx, names);     /* takes them */
    return RC_OK;
}

static SSL_CTX *server_ctx(struct tls_context *t, char *why, size_t size)
{
    const struct tls_server_settings *s = &t->settings;
    char reason[256];
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        abort();
    common_options(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_min_proto_version(ctx, s->min_version);
    SSL_CTX_set_num_tickets(ctx, 1);    /* one is enough for clients, and each costs a write */
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, t);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"tidegate", 8);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    if (set_ciphers(ctx, s->ciphers) != RC_OK)
        snprintf(why, size, "ciphers: OpenSSL does not know any of \"%s\"", s->ciphers.at);
    else if (set_client_auth(ctx, s) != RC_OK) {
        tell_pem("certificates", false, reason, sizeof reason);
        snprintf(why, size, "client_auth.ca: cannot load \"%s\": %s", s->client_ca.at, reason);
    } else
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

struct tls_context *tls_server_new(const struct tls_server_settings *s, char *why, size_t size)
{
    struct tls_context *t = context_new();
    t->settings = *s;
    SSL_CTX *probe = server_ctx(t, why, size);      /* the settings are checked even before the first certificate */
    if (!probe) {
        tls_context_drop(t);
        return NULL;
    }
    SSL_CTX_free(probe);
    return t;
}

static void add_name(struct tls_context *t, const char *text, int len, SSL_CTX *ctx)
{
    if (len <= 0 || memchr(text, 0, (size_t)len))
        return;
    struct name *n = malloc(sizeof *n + (size_t)len + 1);
    if (!n)
        abort();
    for (int i = 0; i < len; i++)
        n->text[i] = (char)byte_lower((unsigned char)text[i]);
    n->text[len] = 0;
    n->next = t->names;
    t->names = n;
    bool wild = len > 2 && n->text[0] == '*' && n->text[1] == '.';
    struct slice key = wild ? slice_make(n->text + 1, (size_t)len - 1) : slice_make(n->text, (size_t)len);
    struct map *names = wild ? &t->wildcard : &t->exact;
    if (!map_get(names, key))
        map_put(names, key, ctx);           /* the first certificate with a name has it */
}

static void add_names(struct tls_context *t, SSL_CTX *ctx)
{
    X509 *x = SSL_CTX_get0_certificate(ctx);
    GENERAL_NAMES *alternatives = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); i++) {
        GENERAL_NAME *n = sk_GENERAL_NAME_value(alternatives, i);
        if (n->type == GEN_DNS)
            add_name(t, (const char *)ASN1_STRING_get0_data(n->d.dNSName), ASN1_STRING_length(n->d.dNSName), ctx);
    }
    if (!alternatives) {                    /* old certificates have only the common name */
        char common[256];
        int len = X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, common, sizeof common);
        add_name(t, common, len, ctx);
    }
    GENERAL_NAMES_free(alternatives);
}

static bool load_ocsp(struct certificate *c, const char *file)
{
    unsigned char bytes[64 * 1024];
    FILE *f = fopen(file, "rbe");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        fclose(f);
    if (n == 0 || n == sizeof bytes)
        return false;
    const unsigned char *at = bytes;
    OCSP_RESPONSE *parsed = d2i_OCSP_RESPONSE(NULL, &at, (long)n);
    if (!parsed)
        return false;
    OCSP_RESPONSE_free(parsed);
    c->ocsp = OPENSSL_memdup(bytes, n);
    c->ocsp_bytes = (long)n;
    return c->ocsp != NULL;
}

enum rc tls_server_add(struct tls_context *t, const char *cert, const char *key, const char *ocsp, char *why,
                       size_t size)
{
    struct certificate *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->ctx = server_ctx(t, why, size);
    if (!c->ctx) {
        free(c);
        return RC_MALFORMED;
    }
    c->next = t->certificates;
    t->certificates = c;
    SSL_CTX_set_tlsext_status_cb(c->ctx, on_status_request);
    SSL_CTX_set_tlsext_status_arg(c->ctx, c);
    if (load_pair(c->ctx, "", cert, key, why, size) != RC_OK)
        return RC_MALFORMED;
    if (ocsp && !load_ocsp(c, ocsp)) {
        snprintf(why, size, "cannot load the OCSP response \"%s\" (DER, under 64 KiB)", ocsp);
        return RC_MALFORMED;
    }
    if (!t->ctx)
        t->ctx = c->ctx;
    add_names(t, c->ctx);
    return RC_OK;
}

/* -- clients -- */

static enum rc load_client(SSL_CTX *ctx, const struct tls_client_settings *s, char *why, size_t size)
{
    ERR_clear_error();
    if (s->verify)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (s->ca.len ? SSL_CTX_load_verify_file(ctx, s->ca.at) != 1 : SSL_CTX_set_default_verify_paths(ctx) != 1) {
        char reason[256];
        tell_pem("certificates", false, reason, sizeof reason);
        snprintf(why, size, "cannot load the CA file \"%s\": %s", s->ca.len ? s->ca.at : "system", reason);
        return RC_MALFORMED;
    }
    return s->cert.len ? load_pair(ctx, "client ", s->cert.at, s->key.at, why, size) : RC_OK;
}

struct tls_context *tls_client_new(const struct tls_client_settings *s, char *why, size_t size)
{
    struct tls_context *t = context_new();
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (!t->ctx)
        abort();
    common_options(t->ctx);
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(t->ctx, protocols, sizeof protocols - 1);
    if (load_client(t->ctx, s, why, size) == RC_OK)
        return t;
    SSL_CTX_free(t->ctx);
    t->ctx = NULL;
    tls_context_drop(t);
    return NULL;
}

void *tls_context_ssl_ctx(struct tls_context *t)
{
    return t->ctx;
}

void tls_context_keep(struct tls_context *t) { atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed); }

void tls_context_drop(struct tls_context *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    if (!t->certificates)
        SSL_CTX_free(t->ctx);
    for (struct certificate *c = t->certificates, *next; c; c = next) {
        next = c->next;
        SSL_CTX_free(c->ctx);
        OPENSSL_free(c->ocsp);
        free(c);
    }
    for (struct name *n = t->names, *next; n; n = next) {
        next = n->next;
        free(n);
    }
    map_free(&t->exact);
    map_free(&t->wildcard);
    free(t);
}
