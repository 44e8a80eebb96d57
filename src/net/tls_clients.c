#include "net/tls_clients.h"

#include <stdio.h>
#include <stdlib.h>

struct client { struct finding finding; struct tls_context *context; char why[512]; };

static void free_client(struct finding *f)
{
    struct client *c = (struct client *)(void *)f;
    tls_context_drop(c->context);
    free(c);
}

/* The next text of the key, without its NUL. */
static struct slice next_text(struct slice *key)
{
    struct slice text = slice_text(key->at);
    *key = slice_from(*key, text.len + 1);
    return text;
}

static struct finding *find(struct slice key)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    struct tls_client_settings s = { .verify = key.at[0] == '1' };
    key = slice_from(key, 1);
    s.ca = next_text(&key);
    s.cert = next_text(&key);
    s.key = next_text(&key);
    c->context = tls_client_new(&s, c->why, sizeof c->why);
    c->finding = (struct finding){ .refs = 1, .failed = !c->context, .free = free_client };
    return &c->finding;
}

static struct lookup clients = {
    .name = "tls files", .find = find, .good_ms = 60000, .bad_ms = 3000, .max = 256,
    LOOKUP_START,
};

/* The settings as one text. */
static bool make_key(const struct tls_client_settings *s, char *out, size_t *len)
{
    const struct slice texts[] = { s->ca, s->cert, s->key };
    size_t at = 0;
    out[at++] = s->verify ? '1' : '0';
    for (int i = 0; i < 3; i++) {
        if (texts[i].len >= LOOKUP_KEY_MAX - at)
            return false;
        if (texts[i].len)
            memcpy(out + at, texts[i].at, texts[i].len);
        at += texts[i].len;
        out[at++] = 0;
    }
    *len = at;
    return true;
}

enum rc tls_client_ask(struct loop *loop, const struct tls_client_settings *s, lookup_fn *fn, double who,
                       struct tls_context **out, char *why, size_t size)
{
    char key[LOOKUP_KEY_MAX];
    size_t len;
    struct finding *f;
    if (loop->dialer) {                 /* a spec's loop: nobody else is kept waiting */
        *out = tls_client_new(s, why, size);
        return *out ? RC_OK : RC_MALFORMED;
    }
    enum rc rc = make_key(s, key, &len) ? lookup_ask(&clients, loop, slice_make(key, len), fn, who, &f) : RC_LIMIT;
    if (rc == RC_AGAIN)
        return rc;
    if (rc != RC_OK) {
        snprintf(why, size, "%s",
                 rc == RC_LIMIT ? "the names of the files are too long" : "too many files are being read");
        return RC_MALFORMED;
    }
    const struct client *c = (struct client *)(void *)f;
    if (c->context) {
        tls_context_keep(c->context);
        *out = c->context;
    } else {
        snprintf(why, size, "%s", c->why);
        rc = RC_MALFORMED;
    }
    finding_drop(f);
    return rc;
}
