/* Answers of name servers: whatever they hold, what is read lies within bounds, and is the same when it is read
 * again. */
#include "fuzz.h"
#include "net/dns_message.h"

static enum rc read_one(struct slice message, enum dns_type type, struct arena *a, struct dns_answer *out)
{
    arena_init(a, 4096);
    enum rc rc = dns_message_read(message, type, a, out);
    assert(rc == RC_OK || rc == RC_MALFORMED || rc == RC_LIMIT);
    assert(rc == RC_OK || out->count == 0);
    assert(out->count <= DNS_RECORDS_MAX && (out->count || out->ttl_s == 0));
    return rc;
}

static void check_records(const struct dns_answer *a, const struct dns_answer *b, enum dns_type type)
{
    assert(a->count == b->count && a->ttl_s == b->ttl_s);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct dns_record *p = &a->records[i], *q = &b->records[i];
        char clean[DNS_NAME_MAX];
        size_t len;
        assert(memcmp(p->ip, q->ip, sizeof p->ip) == 0 && p->port == q->port);
        if (type != DNS_SRV)
            continue;
        assert(p->port && slice_equal(p->target, q->target));
        assert(dns_name_clean(p->target, clean, &len) && slice_equal(p->target, slice_make(clean, len)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_SRV };
    struct slice message = fuzz_copy(data, size, 0);
    for (int i = 0; i < 3; i++) {
        struct arena first, second;
        struct dns_answer a, b;
        enum rc rc = read_one(message, types[i], &first, &a);
        assert(read_one(message, types[i], &second, &b) == rc);
        check_records(&a, &b, types[i]);
        arena_free(&first);
        arena_free(&second);
    }
    fuzz_free(message);
    return 0;
}
