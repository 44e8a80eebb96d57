#include "net/proxy_protocol.h"

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static struct slice next_word(struct slice *line)
{
    const char *space = memchr(line->at, ' ', line->len);
    size_t len = space ? (size_t)(space - line->at) : line->len;
    struct slice word = slice_make(line->at, len);
    *line = slice_from(*line, space ? len + 1 : len);
    return word;
}

static enum rc parse_line(struct slice in, struct proxy_header *out, size_t *used)
{
    enum { LINE_MAX_V1 = 107 };
    const char *end = memchr(in.at, '\n', in.len < LINE_MAX_V1 ? in.len : LINE_MAX_V1);
    if (!end)
        return in.len >= LINE_MAX_V1 ? RC_MALFORMED : RC_AGAIN;
    struct slice line = slice_make(in.at, (size_t)(end - in.at));
    *used = line.len + 1;
    if (line.len == 0 || line.at[line.len - 1] != '\r')
        return RC_MALFORMED;
    line = slice_from(slice_make(line.at, line.len - 1), 6);
    unsigned spaces = 0;
    for (size_t i = 0; i < line.len; i++)
        spaces += line.at[i] == ' ';
    struct slice family = next_word(&line);
    if (slice_equal(family, SLICE_OF("UNKNOWN")))
        return RC_OK;
    bool v4 = slice_equal(family, SLICE_OF("TCP4"));
    if (!v4 && !slice_equal(family, SLICE_OF("TCP6")))
        return RC_MALFORMED;
    struct slice from = next_word(&line), to = next_word(&line);
    struct slice from_port = next_word(&line), to_port = next_word(&line);
    struct peer ignored;
    uint64_t port, port_to;
    int wanted = v4 ? AF_INET : AF_INET6;
    if (spaces != 4 || memchr(from.at, '[', from.len) || memchr(to.at, '[', to.len) ||
        !peer_parse(from, &out->peer) || !peer_parse(to, &ignored) || out->peer.family != wanted ||
        ignored.family != wanted || !slice_to_u64(from_port, 65535, &port) ||
        !slice_to_u64(to_port, 65535, &port_to))
        return RC_MALFORMED;
    out->peer.port = (uint16_t)port;
    out->to_port = (uint16_t)port_to;
    out->has_peer = true;
    return RC_OK;
}

static uint16_t two_bytes(const unsigned char *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static enum rc parse_binary(struct slice in, struct proxy_header *out, size_t *used)
{
    const unsigned char *at = (const unsigned char *)in.at;
    if (in.len < 16)
        return RC_AGAIN;
    size_t len = two_bytes(at + 14);
    if ((at[12] & 0xf0) != 0x20 || (at[12] & 0x0f) > 1)
        return RC_MALFORMED;
    if (len > PROXY_HEADER_MAX - 16)
        return RC_LIMIT;
    if (in.len < 16 + len)
        return RC_AGAIN;
    *used = 16 + len;
    if ((at[12] & 0x0f) == 0)
        return RC_OK;                           /* LOCAL: a health check of the balancer itself */
    unsigned family = at[13] >> 4;
    size_t ip = family == 1 ? 4 : 16;
    if (family > 3)
        return RC_MALFORMED;
    if (family != 1 && family != 2)
        return RC_OK;                           /* unix or unspecified: nothing to learn */
    if ((at[13] & 0x0f) != 1 || len < 2 * ip + 4)
        return RC_MALFORMED;
    out->peer = (struct peer){ .family = family == 1 ? AF_INET : AF_INET6 };
    memcpy(out->peer.ip, at + 16, ip);
    out->peer.port = two_bytes(at + 16 + 2 * ip);
    out->to_port = two_bytes(at + 18 + 2 * ip);
    out->has_peer = true;
    return RC_OK;
}

enum rc proxy_header_parse(struct slice in, struct proxy_header *out, size_t *used)
{
    *out = (struct proxy_header){ 0 };
    size_t n = in.len < sizeof signature ? in.len : sizeof signature;
    if (n && memcmp(in.at, signature, n) == 0)
        return parse_binary(in, out, used);
    n = in.len < 6 ? in.len : 6;
    if (memcmp(in.at, "PROXY ", n) != 0)
        return RC_MALFORMED;
    return n < 6 ? RC_AGAIN : parse_line(in, out, used);
}
