#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static _Thread_local log_sink_fn *sink;
static _Thread_local void *sink_owner;
static _Atomic int lowest = LOG_INFO;

void log_set_sink(log_sink_fn *write, void *who)
{
    sink = write;
    sink_owner = who;
}

void log_set_level(enum log_level level) { lowest = (int)level; }

struct line { char at[2048]; size_t len; };

static void put(struct line *l, char c)
{
    if (l->len < sizeof l->at - 1)
        l->at[l->len++] = c;
}

static void put_text(struct line *l, const char *text)
{
    while (*text)
        put(l, *text++);
}

static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c == '"' || *c == '=' || *c == '\\' || *c == 0x7f)
            return false;
    return *text != 0;
}

/* Control bytes become \xHH, so that no peer can write lines of its own into the log. */
static void put_escaped(struct line *l, const char *text, bool quote)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c == 0x7f) {
            put_text(l, "\\x");
            put(l, "0123456789abcdef"[*c >> 4]);
            put(l, "0123456789abcdef"[*c & 15]);
            continue;
        }
        if (quote && (*c == '"' || *c == '\\'))
            put(l, '\\');
        put(l, (char)*c);
    }
}

static void put_value(struct line *l, const char *text)
{
    if (is_plain(text)) {
        put_text(l, text);
        return;
    }
    put(l, '"');
    put_escaped(l, text, true);
    put(l, '"');
}

static void begin_line(struct line *l, enum log_level level, const char *where, const char *what)
{
    static const char *const words[] = { "debug", "info", "warn", "error" };
    static _Thread_local struct clock now;
    clock_tick(&now);
    l->len = (size_t)snprintf(l->at, sizeof l->at, "%s.%03uZ %-5s %s: ", now.iso, (unsigned)(now.wall_ms % 1000),
                              words[level], where);
    put_escaped(l, what, false);
}

static void put_pair(struct line *l, const char *key, const char *value)
{
    put(l, ' ');
    put_escaped(l, key, false);
    put(l, '=');
    put_value(l, value);
}

static void put_pairs(struct line *l, va_list pairs)
{
    for (const char *key; (key = va_arg(pairs, const char *));) {
        const char *value = va_arg(pairs, const char *);
        if (value)
            put_pair(l, key, value);
    }
}

static void end_line(struct line *l)
{
    l->at[l->len++] = '\n';
    if (sink)
        sink(sink_owner, slice_make(l->at, l->len));
    else if (write(STDERR_FILENO, l->at, l->len) < 0)
        return;             /* nobody left to tell */
}

void log_event(enum log_level level, const char *where, const char *what, ...)
{
    struct line l;
    va_list pairs;
    if ((int)level < lowest)
        return;
    begin_line(&l, level, where, what);
    va_start(pairs, what);
    put_pairs(&l, pairs);
    va_end(pairs);
    end_line(&l);
}

void log_event_pairs(enum log_level level, const char *where, const char *what, struct slice more, ...)
{
    struct line l;
    va_list pairs;
    if ((int)level < lowest)
        return;
    begin_line(&l, level, where, what);
    va_start(pairs, more);
    put_pairs(&l, pairs);
    va_end(pairs);
    while (more.len) {
        const char *key = more.at, *end = slice_end(more), *value = key + strlen(key) + 1;
        if (value >= end)
            break;
        put_pair(&l, key, value);
        more = slice_from(more, (size_t)(value + strlen(value) + 1 - key));
    }
    end_line(&l);
}

enum log_level log_lowest_level(void) { return (enum log_level)lowest; }

struct values { char at[8][256]; unsigned turn; };

static pthread_key_t values_of_thread;
static pthread_once_t values_once = PTHREAD_ONCE_INIT;

static void make_values_key(void)
{
    if (pthread_key_create(&values_of_thread, free))
        abort();
}

/* Not a variable of the thread: all of those must fit into what a program has left for a library (-ftls-model). */
static char *next_value(void)
{
    pthread_once(&values_once, make_values_key);
    struct values *v = pthread_getspecific(values_of_thread);
    if (!v && (!(v = calloc(1, sizeof *v)) || pthread_setspecific(values_of_thread, v)))
        abort();
    return v->at[v->turn++ % 8];
}

const char *log_slice(struct slice s)
{
    char *value = next_value();
    size_t len = s.len < 255 ? s.len : 255;
    for (size_t i = 0; i < len; i++)
        value[i] = s.at[i] ? s.at[i] : ' ';
    value[len] = 0;
    return value;
}

const char *log_number(uint64_t n)
{
    char *value = next_value();
    value[format_u64(value, n)] = 0;
    return value;
}
