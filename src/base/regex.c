#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    TRIES = 20000,                      /* of one match from one place */
    DEPTH = 1000,                       /* these two where there is no machine code */
    HEAP_KIB = 1024,
    STACK_FIRST = 32 * 1024, STACK_MAX = 256 * 1024,
    /* PCRE2 counts the tries anew from each place where a match might begin. So a long subject is searched in windows
     * of such places, between which the time is looked at. */
    SHORT = 256, WINDOW = 64,
    TIME_NS = 5000000,
    /* A pattern that means something else when it is tried again from the middle cannot be searched in windows. */
    WHOLE_MAX = 4096, WHOLE_TRIES = 2000,
};

struct regex {
    pcre2_code *code;
    uint32_t groups;
    bool is_jit, is_single, is_whole;   /* single: a match begins at the start or nowhere */
};

struct matcher {                        /* of one thread */
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

static _Atomic uint64_t limit_hits;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;               /* only to free a thread's matcher */
static _Thread_local struct matcher *mine;

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void free_matcher(void *p)
{
    struct matcher *m = p;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    free(m);
    mine = NULL;
}

static void make_key(void)
{
    if (pthread_key_create(&key, free_matcher) != 0)
        abort();
}

static void open_matcher(void)
{
    struct matcher *m = need(malloc(sizeof *m));
    m->context = need(pcre2_match_context_create(NULL));
    m->data = need(pcre2_match_data_create(REGEX_GROUPS_MAX + 1, NULL));
    m->stack = need(pcre2_jit_stack_create(STACK_FIRST, STACK_MAX, NULL));
    pcre2_jit_stack_assign(m->context, NULL, m->stack);
    /* Cannot fail with a context. */
    (void)pcre2_set_depth_limit(m->context, DEPTH);
    (void)pcre2_set_heap_limit(m->context, HEAP_KIB);
    pthread_once(&once, make_key);
    if (pthread_setspecific(key, m) != 0)
        abort();
    mine = m;
}

/* -- compiling -- */

static enum rc refuse(struct regex_error *e, size_t offset, const char *words)
{
    e->offset = offset;
    snprintf(e->text, sizeof e->text, "%s at byte %zu", words, offset + 1);
    return RC_MALFORMED;
}

/* "\G" is where the search began, and verbs such as (*COMMIT) stop it. May say so of a pattern that only looks so. */
static bool may_mean_the_start(struct slice pattern)
{
    for (size_t i = 0; i + 1 < pattern.len; i++)
        if ((pattern.at[i] == '\\' && pattern.at[i + 1] == 'G') || (pattern.at[i] == '(' && pattern.at[i + 1] == '*'))
            return true;
    return false;
}

static uint32_t info_of(const pcre2_code *code, uint32_t what)
{
    uint32_t value = 0;
    (void)pcre2_pattern_info(code, what, &value);       /* fails for an unknown `what` only */
    return value;
}

static size_t size_of(const pcre2_code *code, uint32_t what)
{
    size_t value = 0;
    (void)pcre2_pattern_info(code, what, &value);
    return value;
}

static enum rc check(const pcre2_code *code, size_t len, struct regex_error *e)
{
    char words[64];
    if (size_of(code, PCRE2_INFO_SIZE) > REGEX_COMPILED_MAX)
        return refuse(e, len, "regular expression is too large");
    if (info_of(code, PCRE2_INFO_CAPTURECOUNT) <= REGEX_GROUPS_MAX)
        return RC_OK;
    snprintf(words, sizeof words, "more than %d groups", REGEX_GROUPS_MAX);
    return refuse(e, len, words);
}

enum rc regex_compile(struct slice pattern, unsigned flags, struct regex **out, struct regex_error *e)
{
    uint32_t options = PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
                       PCRE2_DOLLAR_ENDONLY | (flags & REGEX_NOCASE ? PCRE2_CASELESS : 0);
    char words[160];
    int error;
    size_t offset;
    *out = NULL;
    if (pattern.len > REGEX_PATTERN_MAX) {
        snprintf(words, sizeof words, "longer than %d bytes", REGEX_PATTERN_MAX);
        return refuse(e, REGEX_PATTERN_MAX, words);
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.at : ""), pattern.len, options, &error, &offset,
                                     NULL);
    if (!code) {
        if (pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof words) < 0)
            snprintf(words, sizeof words, "PCRE2 error %d", error);
        return refuse(e, offset, words);
    }
    if (check(code, pattern.len, e) != RC_OK) {
        pcre2_code_free(code);
        return RC_MALFORMED;
    }
    struct regex *r = need(malloc(sizeof *r));
    r->code = code;
    /* Where the system lets nobody make machine code, PCRE2 goes on without. */
    r->is_jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0 && size_of(code, PCRE2_INFO_JITSIZE) > 0;
    r->groups = info_of(code, PCRE2_INFO_CAPTURECOUNT);
    r->is_single = info_of(code, PCRE2_INFO_ALLOPTIONS) & PCRE2_ANCHORED;
    r->is_whole = may_mean_the_start(pattern);
    *out = r;
    return RC_OK;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r);
}

uint32_t regex_groups(const struct regex *r) { return r->groups; }

uint32_t regex_names(const struct regex *r) { return info_of(r->code, PCRE2_INFO_NAMECOUNT); }

size_t regex_bytes(const struct regex *r)
{
    return sizeof *r + size_of(r->code, PCRE2_INFO_SIZE) + size_of(r->code, PCRE2_INFO_JITSIZE);
}

uint64_t regex_limit_hits(void) { return atomic_load_explicit(&limit_hits, memory_order_relaxed); }

/* Entries are two bytes of number, then the name and NULs: pcre2api, "Information about a compiled pattern". */
struct slice regex_group_name(const struct regex *r, uint32_t group)
{
    uint32_t size = info_of(r->code, PCRE2_INFO_NAMEENTRYSIZE);
    PCRE2_SPTR entry = NULL;
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, (void *)&entry);
    for (uint32_t left = info_of(r->code, PCRE2_INFO_NAMECOUNT); left > 0; left--, entry += size)
        if (((uint32_t)entry[0] << 8 | entry[1]) == group)
            return slice_text((const char *)entry + 2);
    return SLICE_NONE;
}

/* -- matching -- */

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* What counts is the thread's own time, but asking for that is a call of the kernel. */
struct span { int64_t time, cpu; };

static bool span_is_over(const struct span *since)
{
    return now_ns(CLOCK_MONOTONIC) - since->time > TIME_NS &&
           now_ns(CLOCK_THREAD_CPUTIME_ID) - since->cpu > TIME_NS;
}

static int search(const struct regex *r, const struct matcher *m, struct slice s, size_t start, size_t last,
                  uint32_t tries)
{
    (void)pcre2_set_match_limit(m->context, tries);     /* cannot fail with a context */
    (void)pcre2_set_offset_limit(m->context, last);
    if (r->is_jit)
        return pcre2_jit_match(r->code, (PCRE2_SPTR)s.at, s.len, start, 0, m->data, m->context);
    return pcre2_match(r->code, (PCRE2_SPTR)s.at, s.len, start, 0, m->data, m->context);
}

static int search_windows(const struct regex *r, const struct matcher *m, struct slice s)
{
    struct span since = { now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_THREAD_CPUTIME_ID) };
    for (size_t start = 0;; start += WINDOW) {
        int found = search(r, m, s, start, start + WINDOW - 1, TRIES);
        if (found != PCRE2_ERROR_NOMATCH || start + WINDOW > s.len)
            return found;
        if (span_is_over(&since))
            return PCRE2_ERROR_MATCHLIMIT;
    }
}

enum rc regex_match(const struct regex *r, struct slice subject, struct slice *groups, uint32_t count)
{
    if (!mine)
        open_matcher();
    const struct matcher *m = mine;
    int found;
    if (!subject.len)
        subject.at = "";
    if (r->is_whole)
        found = subject.len > WHOLE_MAX ? PCRE2_ERROR_MATCHLIMIT
                                        : search(r, m, subject, 0, PCRE2_UNSET, WHOLE_TRIES);
    else if (r->is_single || subject.len <= SHORT)
        found = search(r, m, subject, 0, PCRE2_UNSET, TRIES);
    else
        found = search_windows(r, m, subject);
    if (found == PCRE2_ERROR_NOMATCH)
        return RC_END;
    if (found < 0) {                    /* all that is left: one of the limits */
        atomic_fetch_add_explicit(&limit_hits, 1, memory_order_relaxed);
        return RC_LIMIT;
    }
    const size_t *places = pcre2_get_ovector_pointer(m->data);
    for (uint32_t i = 0; i < count; i++) {
        bool took_part = i <= r->groups && (int)i < found && places[2 * i] != PCRE2_UNSET;
        groups[i] = took_part ? slice_make(subject.at + places[2 * i], places[2 * i + 1] - places[2 * i]) : SLICE_NONE;
    }
    return RC_OK;
}
