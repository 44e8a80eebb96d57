#include "http/h1_server_head.h"

#include "http/h1_hop.h"
#include "http/h1_trailers.h"
#include "http/url.h"

struct framing {
    unsigned hosts, lengths, codings;
    bool close, keep_alive, upgrade, named;
    const char *why;                    /* it is malformed */
};

static enum rc malformed(const char **why, const char *words)
{
    *why = words;
    return RC_MALFORMED;
}

static enum rc read_coding(struct slice value, struct framing *seen)
{
    if (slice_equal_nocase(value, SLICE_OF("chunked")))
        return RC_OK;
    /* RFC 9112 section 6.1: a coding we do not know is 501; a list that could hide the framing is 400. */
    struct slice member;
    unsigned chunked = 0, others = 0;
    while (slice_next_member(&value, &member)) {
        if (slice_equal_nocase(member, SLICE_OF("chunked")))
            chunked++;
        else
            others++;
        if (!header_is_token(member))
            return malformed(&seen->why, "Transfer-Encoding is no list of tokens");
    }
    return chunked <= 1 && others ? RC_UNKNOWN_CODING : malformed(&seen->why, "Transfer-Encoding is not just chunked");
}

static void read_connection(struct slice value, struct framing *seen)
{
    struct slice member;
    while (slice_next_member(&value, &member)) {
        if (slice_equal_nocase(member, SLICE_OF("close")))
            seen->close = true;
        else if (slice_equal_nocase(member, SLICE_OF("keep-alive")))
            seen->keep_alive = true;
        else if (slice_equal_nocase(member, SLICE_OF("upgrade")))
            seen->upgrade = true;
        else
            seen->named = true;
    }
}

/* Most fields say nothing about the connection. */
static inline bool is_end_to_end(unsigned id)
{
    const uint64_t ours = h1_hop_by_hop | 1ull << HEADER_HOST | 1ull << HEADER_CONTENT_LENGTH | 1ull << HEADER_EXPECT;
    return !(ours >> id & 1);
}

/* Fields that say how the message is framed are taken out here: each side of the gateway writes its own. */
static enum rc read_field(struct request *r, struct header *h, struct framing *seen)
{
    bool old = r->version == 10;
    switch (h->id) {
    case HEADER_HOST:
        r->authority = h->value;
        h->skip = true;
        return ++seen->hosts > 1 ? malformed(&seen->why, "two Host fields") : RC_OK;
    case HEADER_CONTENT_LENGTH:
        r->body = BODY_SIZED;
        if (++seen->lengths > 1)
            return malformed(&seen->why, "two Content-Length fields");
        if (!slice_to_u64(h->value, INT64_MAX, &r->body_bytes))
            return malformed(&seen->why, "Content-Length is no number");
        return RC_OK;
    case HEADER_TRANSFER_ENCODING:
        h->skip = true;
        r->body = BODY_STREAMED;
        if (++seen->codings > 1)
            return malformed(&seen->why, "two Transfer-Encoding fields");
        return old ? malformed(&seen->why, "Transfer-Encoding in HTTP/1.0") : read_coding(h->value, seen);
    case HEADER_CONNECTION:
        h->skip = true;
        read_connection(h->value, seen);
        return RC_OK;
    case HEADER_EXPECT:
        /* RFC 9110 section 10.1.1: ignored from HTTP/1.0, unknown ones are 417. */
        h->skip = old;
        if (old)
            return RC_OK;
        r->expects_continue = true;
        return slice_equal_nocase(h->value, SLICE_OF("100-continue")) ? RC_OK : RC_EXPECTATION;
    default: h->skip = true; return RC_OK;
    }
}

static void skip_named_fields(struct headers *headers)
{
    for (uint32_t i = headers->first[HEADER_CONNECTION] - 1u; i < headers->count; i++)
        if (headers->at[i].id == HEADER_CONNECTION)
            h1_skip_named(headers, headers->at[i].value);
}

/* A body that is said to be empty is none, but for methods whose upstream may ask for its length. */
static void read_empty_body(struct request *r)
{
    if (r->body != BODY_SIZED || r->body_bytes || r->method == METHOD_POST || r->method == METHOD_PUT ||
        r->method == METHOD_PATCH)
        return;
    r->body = BODY_NONE;
    r->headers.at[r->headers.first[HEADER_CONTENT_LENGTH] - 1].skip = true;
}

static enum rc read_fields(struct request *r, bool *keep, const char **why)
{
    struct framing seen = { 0 };
    bool old = r->version == 10;
    for (struct header *h = r->headers.at, *end = h + r->headers.count; h < end; h++) {
        enum rc rc = is_end_to_end(h->id) ? RC_OK : read_field(r, h, &seen);
        if (rc != RC_OK) {
            *why = seen.why;
            return rc;
        }
    }
    if (seen.named)
        skip_named_fields(&r->headers);
    if (seen.lengths && seen.codings)   /* RFC 9112 section 6.3: the classic of request smuggling */
        return malformed(why, "both Content-Length and Transfer-Encoding");
    if (seen.hosts == 0 && !old)        /* RFC 9112 section 3.2 */
        return malformed(why, "no Host field");
    read_empty_body(r);
    r->takes_trailers = r->headers.first[HEADER_TE] && h1_trailers_wanted(&r->headers);
    /* After CONNECT a client takes what follows for a tunnel. */
    *keep = (old ? seen.keep_alive && !seen.close : !seen.close) && r->method != METHOD_CONNECT;
    struct slice upgrade = headers_value(&r->headers, HEADER_UPGRADE);
    /* Not to cleartext HTTP/2: what follows would be requests that nobody here looks at. */
    r->wants_upgrade = seen.upgrade && !old && upgrade.len && r->body == BODY_NONE &&
                       !slice_list_has(upgrade, SLICE_OF("h2c"));
    if (r->limits->body_bytes && r->body == BODY_SIZED && r->body_bytes > r->limits->body_bytes)
        return RC_BODY_LIMIT;
    if (r->security->require_content_length && r->body == BODY_STREAMED)
        return RC_NO_LENGTH;
    return RC_OK;
}

/* What it names, found out or known already. */
static enum rc read_host(struct request *r, struct host_memo *memo)
{
    struct slice port;
    r->host = host_memo_find(memo, r->authority);
    if (r->host.at)
        return RC_OK;
    enum rc rc = url_split_authority(r->authority, &r->arena, &r->host, &port);
    if (rc == RC_OK)
        host_memo_keep(memo, r->authority, r->host);
    return rc;
}

/* Cuts the query off, and makes the path normal where it is not. plain: so much of it is, and has no '?'. */
static enum rc read_path(struct request *r, struct slice path, size_t plain)
{
    const char *mark = plain == path.len ? NULL : memchr(path.at + plain, '?', path.len - plain);
    if (mark) {
        r->query = slice_from(path, (size_t)(mark + 1 - path.at));
        path.len = (size_t)(mark - path.at);
    }
    if (path.len && path.len == plain) {
        r->plain_path = path.at;
        r->path = path;
        return RC_OK;
    }
    if (path.len == 0)
        path = SLICE_OF("/");
    return url_normalise(path, r->security->merge_slashes, &r->arena, &r->path);
}

static enum rc read_target(struct request *r, size_t plain, struct host_memo *memo, const char **why)
{
    struct slice path = r->target;
    if (r->method == METHOD_CONNECT || (r->method == METHOD_OPTIONS && slice_equal(path, SLICE_OF("*")))) {
        r->path = path;
    } else {
        /* RFC 9112 section 3.2.2: the target's authority replaces Host. */
        if (path.at[0] != '/') {
            plain = 0;
            if (url_split_absolute(path, &r->authority, &path) != RC_OK)
                return malformed(why, "the target is neither a path nor an http URL");
        }
        if (read_path(r, path, plain) != RC_OK)
            return malformed(why, "the path has a broken escape, a NUL, or leads above the root");
    }
    if (r->authority.len == 0)          /* RFC 9110 section 7.2: an empty Host is what a client without one sends */
        return RC_OK;
    if (read_host(r, memo) != RC_OK)
        return malformed(why, "the host is no name or address");
    return RC_OK;
}

enum rc h1_server_head(struct request *r, const struct h1_head *head, struct host_memo *memo, bool *keep,
                       const char **why)
{
    r->version = head->minor == 0 ? 10 : 11;
    r->method_text = head->method;
    r->method = method_of(head->method);
    r->target = head->target;
    enum rc rc = read_fields(r, keep, why);
    return rc == RC_OK ? read_target(r, head->plain, memo, why) : rc;
}
