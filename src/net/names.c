#include "net/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "net/dns.h"
#include "net/hosts.h"
#include "net/name_meaning.h"
#include "net/resolver.h"

#define HOSTS_FILE "/etc/hosts"
#define SERVERS_FILE "/etc/resolv.conf"

enum {
    OPEN_MAX_NAMES = 128,               /* looked up at a time: more questions at once get lost on the way */
    LOCAL_TTL_S = 5,                    /* of what /etc/hosts says */
    RETRY_MAX_MS = 30000,
    WHY_MAX = 160, SERVERS_TEXT = 1024, BLOCK = 512,
};

/* What one question gave: addresses of one family, or services. */
struct part {
    struct arena arena;
    struct dns_record *records;
    uint32_t count, ttl_s;
    int status;
    const char *why;
};

enum { PARTS = 2 };                     /* IPv4 and IPv6; or services and nothing */

struct name {
    struct link in_all, in_queue;
    struct deadline due;
    enum name_kind kind;
    unsigned refs;
    struct part coming[PARTS], held[PARTS];
    uint32_t open;                      /* questions without an answer */
    bool has_ended;                     /* there was an outcome, good or bad */
    bool is_news;
    struct meaning meaning;
    uint64_t good_ms;
    uint32_t failures;
    char why[WHY_MAX];
    size_t len;
    char text[];                        /* clean; ends with a NUL */
};

static struct {
    struct loop *loop;
    void (*changed)(void);
    struct dns *dns;
    struct hosts *hosts;
    struct map by_kind[2];
    struct link all, queue;             /* struct name; in the order in which they came */
    uint32_t count, under_way, unheard; /* names: all, looked up now, without any outcome so far */
    bool is_closing, is_looking;        /* questions are taken back; the queue is being worked off */
    struct name_settings settings;
    char servers[SERVERS_TEXT];
    struct stat servers_seen;
} names;

/* -- outcomes -- */

static void change_meaning(struct name *n)
{
    struct meaning m;
    const struct part *p = n->held;
    if (n->kind == NAME_HOST)
        meaning_of_addresses(&m, p[0].records, p[0].count, p[1].records, p[1].count);
    else
        meaning_of_services(&m, p[0].records, p[0].count);
    if (meaning_is_same(&n->meaning, &m)) {
        arena_free(&m.arena);
        return;
    }
    arena_free(&n->meaning.arena);
    n->meaning = m;
    if (n->has_ended)
        log_info("names", "a name means something else now", "name", n->text, "addresses", log_number(m.count));
    n->is_news = true;
    if (names.changed)
        names.changed();
}

static void forget_part(struct part *p)
{
    arena_free(&p->arena);
    *p = (struct part){ 0 };
    arena_init(&p->arena, BLOCK);
}

static void forget(struct name *n)
{
    if (names.loop)
        deadline_remove(&names.loop->deadlines, &n->due);
    link_remove(&n->in_all);
    link_remove(&n->in_queue);
    for (int k = 0; k < PARTS; k++) {
        arena_free(&n->coming[k].arena);
        arena_free(&n->held[k].arena);
    }
    arena_free(&n->meaning.arena);
    free(n);
}

static void ask_again(struct name *n, uint64_t ms)
{
    if (names.loop)
        loop_deadline(names.loop, &n->due, names.loop->clock.now_ms + ms);
}

static uint64_t holding_time(const struct name *n)
{
    uint64_t ms = UINT64_MAX;
    for (int k = 0; k < PARTS; k++)
        if (n->held[k].count && (uint64_t)n->held[k].ttl_s * 1000 < ms)
            ms = (uint64_t)n->held[k].ttl_s * 1000;
    ms = ms < names.settings.max_ttl_ms ? ms : names.settings.max_ttl_ms;
    return ms > names.settings.min_ttl_ms ? ms : names.settings.min_ttl_ms;
}

/* Longer each time. */
static void note_failure(struct name *n, const char *why)
{
    uint64_t first = names.settings.min_ttl_ms, wait = first > RETRY_MAX_MS ? first : RETRY_MAX_MS;
    if (n->failures < 16 && first << n->failures < wait)
        wait = first << n->failures;
    n->failures++;
    ask_again(n, wait);
    if (strncmp(n->why, why, sizeof n->why - 1) == 0)
        return;
    snprintf(n->why, sizeof n->why, "%s", why);
    log_warn("names", "cannot resolve a name", "name", n->text, "why", n->why, "in_force",
             n->meaning.count ? "the last good answer" : "nothing: it never had an address");
}

static void note_success(struct name *n)
{
    if (n->failures)
        log_info("names", "a name resolves again", "name", n->text);
    n->failures = 0;
    n->why[0] = '\0';
    ask_again(n, holding_time(n));
}

static bool is_empty(const struct part *p) { return p->count == 0 && (p->status == 0 || dns_is_absent(p->status)); }

/* The worst that was said; a family that is absent where the other one fails is not what is wrong. */
static const char *reason_of(const struct name *n)
{
    for (int k = 0; k < PARTS; k++)
        if (n->coming[k].status && !dns_is_absent(n->coming[k].status))
            return n->coming[k].why;
    return n->coming[0].why ? n->coming[0].why : n->kind == NAME_HOST ? "it has no address" : "it has no service";
}

static void hold_answer(struct name *n)
{
    const char *why = NULL;
    for (int k = 0; k < PARTS; k++) {
        if (n->coming[k].count == 0 && !is_empty(&n->coming[k])) {
            why = n->coming[k].why;     /* of one family only: the other one is good */
            continue;
        }
        arena_free(&n->held[k].arena);
        n->held[k] = n->coming[k];
        n->coming[k] = (struct part){ 0 };
    }
    n->good_ms = clock_wall_us() / 1000;
    change_meaning(n);
    if (why)
        note_failure(n, why);
    else
        note_success(n);
}

static void look_up_next(void);

/* All answers are there. */
static void conclude(struct name *n)
{
    names.under_way--;
    if (n->refs == 0) {
        forget(n);
        look_up_next();
        return;
    }
    if (n->coming[0].count + n->coming[1].count)
        hold_answer(n);
    else
        note_failure(n, reason_of(n));
    if (!n->has_ended)
        names.unheard--;
    n->has_ended = true;
    for (int k = 0; k < PARTS; k++)
        forget_part(&n->coming[k]);
    look_up_next();
}

static void enqueue(struct name *n)
{
    if (!n->open && !link_is_linked(&n->in_queue))
        list_append(&names.queue, &n->in_queue);
}

/* Its questions are taken back: they will be asked once more. */
static void interrupt(struct name *n)
{
    names.under_way--;
    for (int k = 0; k < PARTS; k++)
        forget_part(&n->coming[k]);
    if (n->refs)
        enqueue(n);
    else
        forget(n);
}

static void take(struct name *n, int k, const struct dns_outcome *o)
{
    struct part *p = &n->coming[k];
    p->status = o->status;
    p->why = o->why;
    p->count = o->answer.count;
    p->ttl_s = o->answer.ttl_s;
    p->records = dns_records_copy(&p->arena, o->answer.records, o->answer.count);
    if (--n->open)
        return;
    if (names.is_closing)
        interrupt(n);
    else
        conclude(n);
}

static void on_first(void *who, const struct dns_outcome *o) { take(who, 0, o); }

static void on_second(void *who, const struct dns_outcome *o) { take(who, 1, o); }

/* -- looking up -- */

static void add_local(struct name *n, const struct addr *a)
{
    bool is_v6 = a->u.any.sa_family == AF_INET6;
    struct part *p = &n->coming[is_v6];
    struct dns_record *grown = arena_alloc(&p->arena, (p->count + 1) * sizeof *grown);
    if (p->count)
        memcpy(grown, p->records, p->count * sizeof *grown);
    p->records = grown;
    struct dns_record *r = &p->records[p->count++];
    *r = (struct dns_record){ 0 };
    memcpy(r->ip, is_v6 ? (const void *)&a->u.v6.sin6_addr : (const void *)&a->u.v4.sin_addr, is_v6 ? 16 : 4);
    p->ttl_s = LOCAL_TTL_S;
}

/* Without a name server. */
static bool look_up_locally(struct name *n)
{
    enum { LOCAL_MAX = 64 };
    struct addr found[LOCAL_MAX];
    uint32_t count = 0;
    char why[WHY_MAX];
    if (n->kind != NAME_HOST)
        return false;
    if (resolver_is_replaced()) {
        int all = resolve(n->text, 0, found, LOCAL_MAX, why, sizeof why);
        count = all > 0 ? (uint32_t)all : 0;
    } else if (names.hosts) {
        count = hosts_find(names.hosts, slice_make(n->text, n->len), found, LOCAL_MAX);
        if (!count && strcmp(n->text, "localhost") == 0)        /* RFC 6761 section 6.3 */
            count = addr_parse_ip(SLICE_OF("127.0.0.1"), 0, &found[0]);
    }
    for (uint32_t i = 0; i < count; i++)
        add_local(n, &found[i]);
    return count > 0;
}

static void look_up(struct name *n)
{
    names.under_way++;
    if (look_up_locally(n)) {
        conclude(n);
        return;
    }
    if (!names.dns) {
        n->coming[0].status = -1;
        n->coming[0].why = "there is no resolver";
        conclude(n);
        return;
    }
    n->open = n->kind == NAME_HOST ? 2 : 1;
    dns_ask(names.dns, n->text, n->kind == NAME_HOST ? DNS_A : DNS_SRV, on_first, n);
    if (n->kind == NAME_HOST)
        dns_ask(names.dns, n->text, DNS_AAAA, on_second, n);
}

/* An outcome that is there at once asks for the next one from within. */
static void look_up_next(void)
{
    if (names.is_looking || names.is_closing)
        return;
    names.is_looking = true;
    while (names.under_way < OPEN_MAX_NAMES) {
        struct link *next = list_shift(&names.queue);
        if (!next)
            break;
        look_up(LINK_OWNER(next, struct name, in_queue));
    }
    names.is_looking = false;
}

static void close_dns(void)
{
    names.is_closing = true;
    if (names.dns)
        dns_free(names.dns);
    names.dns = NULL;
    names.is_closing = false;
}

static void open_dns(void)
{
    char why[WHY_MAX];
    struct dns_settings s = { names.settings.servers, names.settings.timeout_ms };
    close_dns();
    if (stat(SERVERS_FILE, &names.servers_seen) < 0)
        memset(&names.servers_seen, 0, sizeof names.servers_seen);
    names.dns = dns_new(names.loop, &s, why, sizeof why);
    if (!names.dns)
        log_error("names", "cannot ask name servers", "why", why);
}

/* The file of the machine's servers may have been written anew. */
static bool has_servers_changed(void)
{
    struct stat now;
    if (names.settings.servers || stat(SERVERS_FILE, &now) < 0)
        return false;
    return now.st_ino != names.servers_seen.st_ino || now.st_mtim.tv_sec != names.servers_seen.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != names.servers_seen.st_mtim.tv_nsec;
}

static void on_due(struct deadline *d)
{
    enqueue(LINK_OWNER(d, struct name, due));
    if (names.under_way == 0 && has_servers_changed())
        open_dns();
    look_up_next();
}

/* -- wanting -- */

static struct name *make(struct slice text, enum name_kind kind)
{
    struct name *n = calloc(1, sizeof *n + text.len + 1);
    if (!n)
        abort();
    memcpy(n->text, text.at, text.len);
    n->len = text.len;
    n->kind = kind;
    n->due.fire = on_due;
    for (int k = 0; k < PARTS; k++)
        arena_init(&n->coming[k].arena, BLOCK);
    map_put(&names.by_kind[kind], slice_make(n->text, n->len), n);
    if (!names.all.next) {
        list_init(&names.all);
        list_init(&names.queue);
    }
    list_append(&names.all, &n->in_all);
    names.count++;
    names.unheard++;
    return n;
}

/* RFC 1035 section 2.3.4. */
static bool has_long_label(struct slice name)
{
    enum { LABEL_MAX = 63 };
    for (size_t i = 0, label = 0; i < name.len; i++) {
        if (name.at[i] == '.')
            label = i + 1;
        else if (i - label == LABEL_MAX)
            return true;
    }
    return false;
}

struct name *name_want(struct slice text, enum name_kind kind)
{
    char clean[DNS_NAME_MAX];
    size_t len;
    if (!dns_name_clean(text, clean, &len) || has_long_label(slice_make(clean, len)))
        return NULL;
    struct name *n = map_get(&names.by_kind[kind], slice_make(clean, len));
    if (!n)
        n = make(slice_make(clean, len), kind);
    n->refs++;
    if (resolver_is_replaced() && !n->has_ended)
        look_up(n);
    return n;
}

void name_drop(struct name *n)
{
    if (--n->refs)
        return;
    map_remove(&names.by_kind[n->kind], slice_make(n->text, n->len));
    if (names.by_kind[n->kind].count == 0)
        map_free(&names.by_kind[n->kind]);
    names.count--;
    names.unheard -= !n->has_ended;
    if (n->open == 0) {
        forget(n);
        return;
    }
    n->has_ended = true;
    link_remove(&n->in_all);            /* the end of its questions frees it */
}

const struct addr *name_addresses(const struct name *n, uint32_t *count)
{
    *count = n->meaning.count;
    return n->meaning.addresses;
}

const struct dns_record *name_services(const struct name *n, uint32_t *count)
{
    *count = n->meaning.count;
    return n->meaning.services;
}

/* -- coming and going -- */

void names_open(struct loop *loop, void (*changed)(void))
{
    names.loop = loop;
    names.changed = changed;
    names.hosts = hosts_new(HOSTS_FILE);
    if (!names.all.next) {
        list_init(&names.all);
        list_init(&names.queue);
    }
}

void names_close(void)
{
    close_dns();
    hosts_free(names.hosts);
    names.hosts = NULL;
    names.changed = NULL;
    names.loop = NULL;
}

static bool is_same_text(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

void names_start(void)
{
    for (struct link *l = names.all.next; l && l != &names.all; l = l->next) {
        struct name *n = LINK_OWNER(l, struct name, in_all);
        if (!n->has_ended)
            enqueue(n);
    }
    look_up_next();
}

bool names_are_heard(void) { return names.unheard == 0; }

void names_use(const struct name_settings *s)
{
    bool is_other = !names.dns || names.settings.timeout_ms != s->timeout_ms ||
                    !is_same_text(names.settings.servers, s->servers);
    names.settings = *s;
    if (s->servers) {
        snprintf(names.servers, sizeof names.servers, "%s", s->servers);
        names.settings.servers = names.servers;
    }
    if (is_other)
        open_dns();
    names_start();
}

void names_wait(uint32_t ms)
{
    uint64_t now = clock_us() / 1000, end = now + ms;
    for (; names.unheard && names.dns && now < end; now = clock_us() / 1000)
        dns_wait(names.dns, (uint32_t)(end - now));
}

/* -- for people -- */

bool name_report(uint32_t index, struct name_report *out)
{
    if (index >= names.count)
        return false;
    const struct link *l = names.all.next;
    while (index--)
        l = l->next;
    const struct name *n = LINK_OWNER(l, const struct name, in_all);
    uint64_t now = names.loop ? names.loop->clock.now_ms : 0;
    *out = (struct name_report){
        .text = n->text, .kind = n->kind, .count = n->meaning.count, .good_ms = n->good_ms,
        .next_ms = n->due.place && n->due.due_ms > now ? n->due.due_ms - now : 0,
        .failures = n->failures, .why = n->why,
    };
    return true;
}

bool name_is_news(const struct name *n) { return n->is_news; }

void names_settle(void)
{
    for (struct link *l = names.all.next; l && l != &names.all; l = l->next)
        LINK_OWNER(l, struct name, in_all)->is_news = false;
}
