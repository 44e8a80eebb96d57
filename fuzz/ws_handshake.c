/* The terms of permessage-deflate: what is understood reads the same when it is written, an answer that may be given is
 * one offer, and what is asked of the upstream has just the good offers of the client. */
#include "fuzz.h"
#include "http/ws_handshake.h"

static bool is_same(const struct ws_terms *a, const struct ws_terms *b)
{
    return a->server_no_takeover == b->server_no_takeover && a->client_no_takeover == b->client_no_takeover &&
           a->server_bits == b->server_bits && a->client_bits == b->client_bits;
}

static void check_written(const struct ws_terms *terms)
{
    char text[WS_TERMS_MAX];
    struct slice field = slice_make(text, ws_terms_write(text, terms));
    struct ws_terms again;
    assert(ws_offer_next(&field, &again) == RC_OK && is_same(terms, &again));
    assert(ws_offer_next(&field, &again) == RC_END);
}

static void check_appended(struct slice field, enum rc end, size_t count)
{
    struct buf list;
    buf_init(&list, 1 << 20);
    bool bits = false;
    enum rc rc = ws_offers_append(&list, field, true, &bits);
    assert(rc == (end == RC_END ? RC_OK : end));
    struct slice rest = buf_slice(&list);
    struct ws_terms terms;
    size_t found = 0;
    bool has_bits = false;
    while (rest.len && ws_offer_next(&rest, &terms) == RC_OK) {
        found++;
        assert(terms.server_no_takeover && terms.client_no_takeover);
        has_bits |= terms.client_bits != 0;
    }
    assert(rest.len == 0 && found == (rc == RC_OK ? count : 0) && bits == has_bits);
    buf_reset(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);       /* no byte more than given may be looked at */
    if (size)
        memcpy(copy, data, size);
    struct slice field = slice_make(copy, size), rest = field;
    struct ws_terms terms, first = { 0 };
    size_t count = 0;
    enum rc rc;
    while ((rc = ws_offer_next(&rest, &terms)) == RC_OK) {
        if (count++ == 0)
            first = terms;
        check_written(&terms);
    }
    assert(rc == RC_MALFORMED || rest.len == 0);
    check_appended(field, rc, count);
    rc = ws_answer_parse(field, true, &terms);
    assert(rc != RC_OK || (count == 1 && is_same(&terms, &first) && terms.client_bits != WS_BITS_ANY));
    if (ws_key_is_valid(field)) {
        char accept[WS_ACCEPT_LEN];
        ws_accept_for(field, accept);
    }
    free(copy);
    return 0;
}
