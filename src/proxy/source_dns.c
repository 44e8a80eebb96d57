#include "proxy/source_dns.h"

static void give(struct source *s, const struct name *n)
{
    uint32_t count;
    const struct dns_record *records = name_services(n, &count);
    source_begin(s);
    for (uint32_t i = 0; i < count; i++) {
        struct node_settings *node = source_add(s);
        node->host = source_text(s, records[i].target);
        node->port = records[i].port;
        node->weight = records[i].weight ? records[i].weight : 1;
        node->backup = records[i].priority != records[0].priority;      /* they come in order */
    }
    source_give(s);
}

static void look(struct source *s)
{
    const struct name *n = *source_own(s);
    if (n && name_is_news(n))
        give(s, n);
}

static void start(struct source *s)
{
    struct name *n = name_want(slice_text(source_words(s)), NAME_SERVICE);
    uint32_t count = 0;
    *source_own(s) = n;
    if (n)
        (void)name_services(n, &count);
    if (count)                          /* another source has asked for it already */
        give(s, n);
}

static void stop(struct source *s)
{
    if (*source_own(s))
        name_drop(*source_own(s));
}

const struct source_kind source_dns = { .name = "dns", .start = start, .stop = stop, .look = look };
