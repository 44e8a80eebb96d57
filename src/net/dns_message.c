#include "net/dns_message.h"

enum { HEAD_BYTES = 12, LABEL_MAX = 63, CLASS_IN = 1 };

/* -- names -- */

static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

/* As inet_aton takes it: "127", "0x7f". */
static bool is_number(struct slice label)
{
    bool is_hex = label.len > 1 && label.at[0] == '0' && label.at[1] == 'x';
    for (size_t i = is_hex ? 2 : 0; i < label.len; i++) {
        unsigned char c = (unsigned char)label.at[i];
        if (!is_digit(c) && !(is_hex && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

bool dns_name_clean(struct slice name, char *out, size_t *len)
{
    size_t label = 0;
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = byte_lower((unsigned char)name.at[i]);
        if (c == '.' && i == label)
            return false;
        if (c == '.')
            label = i + 1;
        else if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
            return false;
        out[i] = (char)c;
    }
    *len = name.len;
    return label < name.len && !is_number(slice_make(out + label, name.len - label));
}

/* -- reading -- */

struct reader {
    const uint8_t *start;
    size_t len, at;
};

struct name { char text[DNS_NAME_MAX + 1]; size_t len; };     /* in lower case, without the dot at its end */

static bool has(const struct reader *r, size_t n) { return r->len - r->at >= n; }

static uint16_t u16_at(const struct reader *r, size_t at) { return (uint16_t)(r->start[at] << 8 | r->start[at + 1]); }

static uint32_t u32_at(const struct reader *r, size_t at)
{
    return (uint32_t)u16_at(r, at) << 16 | u16_at(r, at + 2);
}

/* A dot within a label would make two names look the same. */
static bool add_label(struct name *out, const uint8_t *at, size_t n)
{
    if (out->len + n + 1 > DNS_NAME_MAX + 1 || memchr(at, '.', n) || memchr(at, 0, n))
        return false;
    if (out->len)
        out->text[out->len++] = '.';
    for (size_t i = 0; i < n; i++)
        out->text[out->len++] = (char)byte_lower(at[i]);
    return out->len <= DNS_NAME_MAX;
}

/* Each pointer leads further back than the one before: it ends. */
static bool read_name(struct reader *r, struct name *out)
{
    size_t at = r->at, least = r->at;
    bool jumped = false;
    out->len = 0;
    for (;;) {
        if (at >= r->len)
            return false;
        uint8_t n = r->start[at];
        if (n >= 0xc0) {
            if (at + 2 > r->len)
                return false;
            size_t to = u16_at(r, at) & 0x3fff;
            if (!jumped)
                r->at = at + 2;
            if (to >= least)
                return false;
            jumped = true;
            at = least = to;
            continue;
        }
        if (n > LABEL_MAX || r->len - at - 1 < n)
            return false;
        at += 1 + (size_t)n;
        if (n == 0)
            break;
        if (!add_label(out, r->start + at - n, n))
            return false;
    }
    if (!jumped)
        r->at = at;
    return true;
}

struct record { struct name owner; uint16_t type, class; uint32_t ttl; size_t data, size; };

static bool read_record(struct reader *r, struct record *out)
{
    if (!read_name(r, &out->owner) || !has(r, 10))
        return false;
    out->type = u16_at(r, r->at);
    out->class = u16_at(r, r->at + 2);
    out->ttl = u32_at(r, r->at + 4);
    out->size = u16_at(r, r->at + 8);
    out->data = r->at + 10;
    if (out->ttl > INT32_MAX)
        out->ttl = 0;                   /* RFC 2181 section 8 */
    r->at += 10;
    if (!has(r, out->size))
        return false;
    r->at += out->size;
    return true;
}

static bool is_same(const struct name *a, const struct name *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* -- the answer -- */

struct reading {
    struct reader answers;              /* at the first record of that section */
    uint32_t count;
    struct name wanted;
    uint32_t ttl_s;
};

static enum rc open_message(struct slice message, struct reading *out)
{
    struct reader r = { (const uint8_t *)message.at, message.len, 0 };
    if (r.len < HEAD_BYTES || u16_at(&r, 4) != 1)
        return RC_MALFORMED;
    r.at = HEAD_BYTES;
    if (!read_name(&r, &out->wanted) || !has(&r, 4))
        return RC_MALFORMED;
    r.at += 4;
    out->count = u16_at(&r, 6);
    out->answers = r;
    out->ttl_s = UINT32_MAX;
    return RC_OK;
}

/* RC_OK: there was an alias, and the name that is wanted is the one it leads to; RC_END: there is none. */
static enum rc follow_alias(struct reading *in)
{
    struct reader r = in->answers;
    struct record record;
    for (uint32_t i = 0; i < in->count; i++) {
        if (!read_record(&r, &record))
            return RC_MALFORMED;
        if (record.type != DNS_CNAME || record.class != CLASS_IN || !is_same(&record.owner, &in->wanted))
            continue;
        struct reader data = { r.start, record.data + record.size, record.data };
        if (!read_name(&data, &in->wanted) || data.at != data.len)
            return RC_MALFORMED;
        if (record.ttl < in->ttl_s)
            in->ttl_s = record.ttl;
        return RC_OK;
    }
    return RC_END;
}

static enum rc read_service(const struct reader *r, const struct record *from, struct arena *a, struct dns_record *out)
{
    struct reader data = { r->start, from->data + from->size, from->data + 6 };
    struct name target;
    if (from->size < 7 || !read_name(&data, &target) || data.at != data.len)
        return RC_MALFORMED;
    out->priority = u16_at(r, from->data);
    out->weight = u16_at(r, from->data + 2);
    out->port = u16_at(r, from->data + 4);
    char clean[DNS_NAME_MAX];
    size_t len;
    if (out->port == 0 || !dns_name_clean(slice_make(target.text, target.len), clean, &len))
        return RC_END;                  /* the target ".": there is no such service; others can be nobody's name */
    out->target = arena_copy(a, slice_make(clean, len));
    return RC_OK;
}

/* RC_END: it is for nobody. */
static enum rc read_data(const struct reader *r, const struct record *from, struct arena *a, struct dns_record *out)
{
    size_t size = from->type == DNS_A ? 4 : 16;
    if (from->type == DNS_SRV)
        return read_service(r, from, a, out);
    if (from->size != size)
        return RC_MALFORMED;
    memcpy(out->ip, r->start + from->data, size);
    return RC_OK;
}

static enum rc take_records(struct reading *in, enum dns_type type, struct arena *a, struct dns_answer *out)
{
    struct reader r = in->answers;
    struct record record;
    uint32_t most = in->count < DNS_RECORDS_MAX ? in->count : DNS_RECORDS_MAX;
    out->records = arena_zero(a, (most + 1) * sizeof *out->records);
    for (uint32_t i = 0; i < in->count; i++) {
        if (!read_record(&r, &record))
            return RC_MALFORMED;
        if (record.type != type || record.class != CLASS_IN || !is_same(&record.owner, &in->wanted))
            continue;
        if (out->count == DNS_RECORDS_MAX)
            return RC_LIMIT;
        enum rc rc = read_data(&r, &record, a, &out->records[out->count]);
        if (rc == RC_END)
            continue;
        if (rc != RC_OK)
            return rc;
        out->count++;
        if (record.ttl < in->ttl_s)
            in->ttl_s = record.ttl;
    }
    return RC_OK;
}

enum rc dns_message_read(struct slice message, enum dns_type type, struct arena *a, struct dns_answer *out)
{
    struct reading in;
    *out = (struct dns_answer){ 0 };
    enum rc rc = open_message(message, &in);
    if (rc != RC_OK)
        return rc;
    uint32_t aliases = 0;
    while ((rc = follow_alias(&in)) == RC_OK)
        if (++aliases > DNS_ALIASES_MAX)
            return RC_LIMIT;
    if (rc != RC_END)
        return rc;
    rc = take_records(&in, type, a, out);
    if (rc != RC_OK)
        out->count = 0;
    out->ttl_s = out->count ? in.ttl_s : 0;
    return rc;
}
