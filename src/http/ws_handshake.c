#include "http/ws_handshake.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "http/header.h"

static bool is_base64(unsigned char c)
{
    return (unsigned)byte_lower(c) - 'a' < 26 || (unsigned)c - '0' < 10 || c == '+' || c == '/';
}

bool ws_key_is_valid(struct slice key)
{
    enum { DIGITS = 22 };       /* of 6 bits each: 16 bytes, and 4 bits that say nothing */
    if (key.len != DIGITS + 2 || key.at[DIGITS] != '=' || key.at[DIGITS + 1] != '=')
        return false;
    for (size_t i = 0; i < DIGITS; i++)
        if (!is_base64((unsigned char)key.at[i]))
            return false;
    return true;
}

void ws_accept_for(struct slice key, char out[WS_ACCEPT_LEN])
{
    static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";     /* RFC 6455 section 1.3 */
    enum { KEY_LEN = 24, SALT_LEN = sizeof salt - 1, SHA1_LEN = 20 };
    unsigned char text[KEY_LEN + SALT_LEN], digest[EVP_MAX_MD_SIZE], base64[WS_ACCEPT_LEN + 1];
    assert(key.len == KEY_LEN);
    memcpy(text, key.at, KEY_LEN);
    memcpy(text + KEY_LEN, salt, SALT_LEN);
    if (EVP_Digest(text, sizeof text, digest, NULL, EVP_sha1(), NULL) != 1)
        abort();                /* a library without SHA-1 can open no WebSocket */
    EVP_EncodeBlock(base64, digest, SHA1_LEN);
    memcpy(out, base64, WS_ACCEPT_LEN);
}

bool ws_protocol_is_offered(struct slice field, struct slice name)
{
    struct slice member;
    while (slice_next_member(&field, &member))
        if (slice_equal(member, name))
            return true;
    return false;
}

/* -- extensions -- */

static void skip_spaces(struct slice *s)
{
    while (s->len && (s->at[0] == ' ' || s->at[0] == '\t'))
        *s = slice_from(*s, 1);
}

static bool skip(struct slice *s, char c)
{
    skip_spaces(s);
    if (!s->len || s->at[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static bool take_token(struct slice *s, struct slice *out)
{
    skip_spaces(s);
    size_t len = 0;
    while (len < s->len && header_token_table[(unsigned char)s->at[len]])
        len++;
    *out = slice_make(s->at, len);
    *s = slice_from(*s, len);
    return len > 0;
}

/* A token, also in quotes. RFC 6455 section 9.1 wants what is in them to be a token, so there is nothing to escape. */
static bool take_value(struct slice *s, struct slice *out)
{
    if (!skip(s, '"'))
        return take_token(s, out);
    size_t len = 0;
    while (len < s->len && header_token_table[(unsigned char)s->at[len]])
        len++;
    *out = slice_make(s->at, len);
    *s = slice_from(*s, len);
    if (!len || !s->len || s->at[0] != '"')
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static bool take_bits(struct slice value, uint8_t *bits)
{
    uint64_t n;
    if (*bits || value.len > 2 || !slice_to_u64(value, 15, &n) || n < 8 || value.at[0] == '0')
        return false;
    *bits = (uint8_t)n;
    return true;
}

static bool take_flag(struct slice value, bool *flag)
{
    bool is_first = !*flag;
    *flag = true;
    return is_first && !value.at;
}

/* One parameter; value.at is NULL where it has none. False: not known, not the first, or not this value. */
static bool take_parameter(struct ws_terms *t, struct slice name, struct slice value, bool is_offer)
{
    if (slice_equal_nocase(name, SLICE_OF("server_no_context_takeover")))
        return take_flag(value, &t->server_no_takeover);
    if (slice_equal_nocase(name, SLICE_OF("client_no_context_takeover")))
        return take_flag(value, &t->client_no_takeover);
    if (slice_equal_nocase(name, SLICE_OF("server_max_window_bits")))
        return value.at && take_bits(value, &t->server_bits);
    if (!slice_equal_nocase(name, SLICE_OF("client_max_window_bits")))
        return false;
    if (value.at)
        return take_bits(value, &t->client_bits);
    bool is_first = !t->client_bits;
    t->client_bits = WS_BITS_ANY;
    return is_first && is_offer;
}

/* One extension with its parameters, and the comma behind it. *is_good: it is permessage-deflate, and its terms can be
 * what is asked for. RC_OK, RC_END at the end of the list, or RC_MALFORMED. */
static enum rc take_extension(struct slice *field, bool is_offer, struct ws_terms *out, bool *is_good)
{
    struct slice name, parameter, value;
    *out = (struct ws_terms){ 0 };
    while (skip(field, ','))
        continue;
    if (!field->len)
        return RC_END;
    if (!take_token(field, &name))
        return RC_MALFORMED;
    *is_good = slice_equal_nocase(name, SLICE_OF("permessage-deflate"));
    while (skip(field, ';')) {
        value = SLICE_NONE;
        if (!take_token(field, &parameter) || (skip(field, '=') && !take_value(field, &value)))
            return RC_MALFORMED;
        *is_good = *is_good && take_parameter(out, parameter, value, is_offer);
    }
    return skip(field, ',') || !field->len ? RC_OK : RC_MALFORMED;
}

enum rc ws_offer_next(struct slice *field, struct ws_terms *out)
{
    bool is_good = false;
    enum rc rc;
    do
        rc = take_extension(field, true, out, &is_good);
    while (rc == RC_OK && !is_good);
    return rc;
}

enum rc ws_answer_parse(struct slice field, bool offered_bits, struct ws_terms *out)
{
    struct ws_terms second;
    bool is_good = false;
    enum rc rc = take_extension(&field, false, out, &is_good);
    if (rc != RC_OK)
        return rc;
    if (!is_good || (out->client_bits && !offered_bits))
        return RC_MALFORMED;
    return take_extension(&field, false, &second, &is_good) == RC_END ? RC_OK : RC_MALFORMED;
}

static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

size_t ws_terms_write(char out[WS_TERMS_MAX], const struct ws_terms *terms)
{
    char *at = put(out, "permessage-deflate");
    if (terms->server_no_takeover)
        at = put(at, "; server_no_context_takeover");
    if (terms->client_no_takeover)
        at = put(at, "; client_no_context_takeover");
    if (terms->server_bits) {
        at = put(at, "; server_max_window_bits=");
        at += format_u64(at, terms->server_bits);
    }
    if (terms->client_bits)
        at = put(at, "; client_max_window_bits");
    if (terms->client_bits && terms->client_bits != WS_BITS_ANY) {
        at = put(at, "=");
        at += format_u64(at, terms->client_bits);
    }
    return (size_t)(at - out);
}

static enum rc append_offer(struct buf *list, const struct ws_terms *terms)
{
    char text[WS_TERMS_MAX + 2] = ", ";
    size_t len = ws_terms_write(text + 2, terms);
    return buf_append(list, buf_len(list) ? slice_make(text, len + 2) : slice_make(text + 2, len));
}

enum rc ws_offers_append(struct buf *list, struct slice field, bool alone, bool *offered_bits)
{
    struct ws_terms terms;
    struct slice rest = field;
    enum rc rc;
    while ((rc = ws_offer_next(&rest, &terms)) == RC_OK)
        continue;
    if (rc != RC_END)
        return rc;
    while (ws_offer_next(&field, &terms) == RC_OK) {
        terms.server_no_takeover |= alone;
        terms.client_no_takeover |= alone;
        *offered_bits |= terms.client_bits != 0;
        if (append_offer(list, &terms) != RC_OK)
            return RC_LIMIT;
    }
    return RC_OK;
}
