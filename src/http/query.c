#include "http/query.h"

/* Takes the next text that is not empty off the front. */
static bool next_piece(struct slice *rest, struct slice *piece)
{
    while (rest->len && rest->at[0] == '&')
        *rest = slice_from(*rest, 1);
    if (!rest->len)
        return false;
    const char *end = memchr(rest->at, '&', rest->len);
    *piece = slice_make(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    *rest = slice_from(*rest, piece->len);
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into *to, which it moves, where there is anything to decode. */
static bool decode(struct slice *text, char **to)
{
    if (!text->len || (!memchr(text->at, '%', text->len) && !memchr(text->at, '+', text->len)))
        return true;
    char *out = *to;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->at[i] == '+' ? ' ' : text->at[i];
        if (c == '%') {
            int high = i + 2 < text->len ? digit_of(text->at[i + 1]) : -1;
            int low = i + 2 < text->len ? digit_of(text->at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        *out++ = c;
    }
    *text = slice_make(*to, (size_t)(out - *to));
    *to = out;
    return true;
}

static uint32_t count_pieces(struct slice text)
{
    struct slice piece;
    uint32_t n = 0;
    while (n <= QUERY_ARGUMENTS_MAX && next_piece(&text, &piece))
        n++;
    return n;
}

static enum rc parse(struct slice text, struct arena *a, struct query *out)
{
    struct slice piece;
    uint32_t count = count_pieces(text);
    if (count > QUERY_ARGUMENTS_MAX)
        return RC_LIMIT;
    char *to = arena_alloc(a, text.len + 1);        /* decoding makes nothing longer */
    out->arguments = arena_alloc(a, count * sizeof *out->arguments);
    while (next_piece(&text, &piece)) {
        const char *equals = memchr(piece.at, '=', piece.len);
        struct argument *arg = &out->arguments[out->count++];
        arg->name = slice_make(piece.at, equals ? (size_t)(equals - piece.at) : piece.len);
        arg->value = equals ? slice_from(piece, arg->name.len + 1) : SLICE_OF("");
        if (!decode(&arg->name, &to) || !decode(&arg->value, &to))
            return RC_MALFORMED;
    }
    return RC_OK;
}

enum rc query_parse(struct slice text, struct arena *a, struct query *out)
{
    *out = (struct query){ 0 };
    enum rc rc = text.len ? parse(text, a, out) : RC_OK;
    if (rc != RC_OK)
        out->count = 0;
    return rc;
}

const struct argument *query_find(const struct query *q, struct slice name)
{
    for (uint32_t i = 0; i < q->count; i++)
        if (slice_equal(q->arguments[i].name, name))
            return &q->arguments[i];
    return NULL;
}
