#include "proxy/access_log.h"

#include <stdio.h>

#include "http/h1_write.h"

enum field {
    FIELD_TEXT, FIELD_TIME, FIELD_TIME_COMMON, FIELD_CLIENT_IP, FIELD_METHOD, FIELD_TARGET, FIELD_PATH, FIELD_VERSION,
    FIELD_HOST, FIELD_STATUS, FIELD_BYTES_IN, FIELD_BYTES_OUT, FIELD_TOTAL, FIELD_CONNECT, FIELD_FIRST_BYTE,
    FIELD_UPSTREAM, FIELD_SERVICE, FIELD_ROUTE, FIELD_RETRIES, FIELD_TLS, FIELD_REQUEST_ID, FIELD_REFERER,
    FIELD_USER_AGENT, FIELD_FAILURE, FIELD_COUNT,
    FIELD_PLUGIN = FIELD_COUNT,         /* with a name of its own */
};

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_TIME] = "time", [FIELD_TIME_COMMON] = "time_common", [FIELD_CLIENT_IP] = "client_ip",
    [FIELD_METHOD] = "method", [FIELD_TARGET] = "target", [FIELD_PATH] = "path", [FIELD_VERSION] = "version",
    [FIELD_HOST] = "host", [FIELD_STATUS] = "status", [FIELD_BYTES_IN] = "bytes_in",
    [FIELD_BYTES_OUT] = "bytes_out", [FIELD_TOTAL] = "total", [FIELD_CONNECT] = "connect",
    [FIELD_FIRST_BYTE] = "first_byte", [FIELD_UPSTREAM] = "upstream", [FIELD_SERVICE] = "service",
    [FIELD_ROUTE] = "route", [FIELD_RETRIES] = "retries", [FIELD_TLS] = "tls", [FIELD_REQUEST_ID] = "request_id",
    [FIELD_REFERER] = "referer", [FIELD_USER_AGENT] = "user_agent", [FIELD_FAILURE] = "failure",
};

/* Quotes of JSON: the lines are compiled like any other format, only their values are escaped as JSON strings. */
static const char json_format[] =
    "{\"time\":\"${time}\",\"client_ip\":\"${client_ip}\",\"method\":\"${method}\",\"host\":\"${host}\","
    "\"target\":\"${target}\",\"version\":\"${version}\",\"status\":${status},\"bytes_in\":${bytes_in},"
    "\"bytes_out\":${bytes_out},\"total\":${total},\"connect\":${connect},\"first_byte\":${first_byte},"
    "\"route\":\"${route}\",\"service\":\"${service}\",\"upstream\":\"${upstream}\",\"retries\":${retries},"
    "\"tls\":\"${tls}\",\"request_id\":\"${request_id}\",\"user_agent\":\"${user_agent}\",\"failure\":\"${failure}\"";
/* Then those of plugins, and the brace. */
static const char common_format[] =
    "${client_ip} - - [${time_common}] \"${method} ${target} ${version}\" ${status} ${bytes_out}";
static const char combined_format[] =
    "${client_ip} - - [${time_common}] \"${method} ${target} ${version}\" ${status} ${bytes_out} \"${referer}\" "
    "\"${user_agent}\"";

struct log_part { struct slice text; uint8_t field; };

enum { LINE_MAX_BYTES = 8192, VALUE_MAX = 2048, NAME_MAX_BYTES = 64 };

static const struct slice plugin_prefix = SLICE("plugin.");

static enum field field_of(struct slice name)
{
    for (int f = FIELD_TIME; f < FIELD_COUNT; f++)
        if (slice_equal(name, slice_text(field_names[f])))
            return (enum field)f;
    return FIELD_TEXT;
}

static bool is_entry_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-' || c == '.')))
            return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_BYTES;
}

static struct slice format_of(const struct access_log_settings *s)
{
    switch ((enum log_format)s->format) {
    case LOG_JSON: return slice_text(json_format);
    case LOG_COMMON: return slice_text(common_format);
    case LOG_COMBINED: return slice_text(combined_format);
    case LOG_TEMPLATE: return s->template_text;
    }
    return SLICE_NONE;
}

bool access_log_compile(struct access_log *log, struct arena *a, char *why, size_t size)
{
    struct slice rest = format_of(&log->settings);
    size_t most = 2;
    for (size_t i = 0; i < rest.len; i++)
        most += 2 * (size_t)(rest.at[i] == '$');
    struct log_part *parts = arena_alloc(a, most * sizeof *parts);
    uint32_t n = 0;
    while (rest.len) {
        size_t text = 0;
        while (text < rest.len && !(rest.at[text] == '$' && text + 1 < rest.len && rest.at[text + 1] == '{'))
            text++;
        if (text)
            parts[n++] = (struct log_part){ slice_make(rest.at, text), FIELD_TEXT };
        rest = slice_from(rest, text);
        if (!rest.len)
            break;
        const char *end = memchr(rest.at, '}', rest.len);
        struct slice name = slice_make(rest.at + 2, end ? (size_t)(end - rest.at) - 2 : 0);
        enum field f = field_of(name);
        struct slice own = SLICE_NONE;
        if (slice_has_prefix(name, plugin_prefix) && is_entry_name(slice_from(name, plugin_prefix.len))) {
            own = slice_from(name, plugin_prefix.len);
            f = FIELD_PLUGIN;
        }
        if (f == FIELD_TEXT) {
            snprintf(why, size, "unknown field \"%.*s\"", (int)(end ? name.len : rest.len), end ? name.at : rest.at);
            return false;
        }
        parts[n++] = (struct log_part){ own, (uint8_t)f };
        rest = slice_from(rest, name.len + 3);
    }
    log->format = parts;
    log->parts = n;
    return true;
}

/* -- fields of plugins -- */

static struct log_entry **find_entry(struct exchange *x, struct slice name)
{
    struct log_entry **at = &x->logged;
    while (*at && !slice_equal((*at)->name, name))
        at = &(*at)->next;
    return at;
}

enum rc access_log_add(struct exchange *x, struct slice name, struct slice json)
{
    size_t entries = 0, bytes = name.len + json.len;
    if (!is_entry_name(name) || field_of(name) != FIELD_TEXT)
        return RC_MALFORMED;
    struct log_entry **at = find_entry(x, name), *entry = *at;
    if (!json.len) {
        if (entry)
            *at = entry->next;
        return RC_OK;
    }
    for (const struct log_entry *e = x->logged; e; e = e->next)
        if (e != entry) {
            entries++;
            bytes += e->name.len + e->json.len;
        }
    if (entries >= LOG_ENTRIES_MAX || bytes > LOG_ENTRIES_BYTES)
        return RC_LIMIT;
    if (!entry) {
        entry = *at = arena_alloc(&x->req.arena, sizeof *entry);
        *entry = (struct log_entry){ NULL, arena_copy(&x->req.arena, name), SLICE_NONE };
    }
    entry->json = arena_copy(&x->req.arena, json);
    return RC_OK;
}

/* -- values -- */

/* Client bytes are escaped so that no value can end its quotes or its line. The escapes are JSON's; other formats get
 * the same. */
static void put_value(struct out *o, struct slice value)
{
    static const char hex[] = "0123456789abcdef";
    if (value.len > VALUE_MAX)
        value.len = VALUE_MAX;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((size_t)(o->end - o->at) < 8) {
            o->full = true;
            return;
        }
        if (c == '"' || c == '\\') {
            *o->at++ = '\\';
            *o->at++ = (char)c;
        } else if (c < ' ' || c >= 0x7f) {      /* not known to be UTF-8: as code points of Latin-1 */
            memcpy(o->at, "\\u00", 4);
            o->at[4] = hex[c >> 4];
            o->at[5] = hex[c & 15];
            o->at += 6;
        } else {
            *o->at++ = (char)c;
        }
    }
}

static void put_or_dash(struct out *o, struct slice value)
{
    put_value(o, value.len ? value : SLICE_OF("-"));
}

static void put_ms(struct out *o, uint64_t us)
{
    char fraction[4] = { '.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10) };
    out_number(o, us / 1000);
    out_put(o, slice_make(fraction, 4));
}

static struct slice version_of(const struct request *r)
{
    switch (r->version) {
    case 10: return SLICE_OF("HTTP/1.0");
    case 20: return SLICE_OF("HTTP/2");
    default: return SLICE_OF("HTTP/1.1");
    }
}

static void put_field(struct out *o, enum field f, const struct exchange *x, uint64_t now_us)
{
    const struct request *r = &x->req;
    const struct clock *clock = &x->plane->loop->clock;
    char text[64];
    switch (f) {
    case FIELD_TEXT:
    case FIELD_PLUGIN: break;           /* have a text of their own */
    case FIELD_TIME: {
        unsigned ms = (unsigned)(clock->wall_ms % 1000);
        char tail[5] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z' };
        out_put(o, slice_make(clock->iso, 19));
        out_put(o, slice_make(tail, 5));
        break;
    }
    case FIELD_TIME_COMMON: out_put(o, slice_make(clock->common, 26)); break;
    case FIELD_CLIENT_IP: out_put(o, slice_make(text, peer_print_ip(&x->client, text))); break;
    case FIELD_METHOD: put_or_dash(o, r->method_text); break;
    case FIELD_TARGET: put_or_dash(o, r->target); break;
    case FIELD_PATH: put_or_dash(o, r->path); break;
    case FIELD_VERSION: out_put(o, version_of(r)); break;
    case FIELD_HOST: put_or_dash(o, r->host); break;
    case FIELD_STATUS: out_number(o, x->head_sent ? (uint64_t)x->res.status : (uint64_t)rc_status(x->failure)); break;
    case FIELD_BYTES_IN: out_number(o, r->bytes_in); break;
    case FIELD_BYTES_OUT: out_number(o, r->bytes_out); break;
    case FIELD_TOTAL: put_ms(o, now_us - r->started_us); break;
    case FIELD_CONNECT: put_ms(o, x->connect_us); break;
    case FIELD_FIRST_BYTE: put_ms(o, x->first_byte_us ? x->first_byte_us - r->started_us : 0); break;
    case FIELD_UPSTREAM: put_or_dash(o, x->node ? slice_make(x->node->text, x->node->text_len) : SLICE_NONE); break;
    case FIELD_SERVICE: put_or_dash(o, x->service ? x->service->settings.name : SLICE_NONE); break;
    case FIELD_ROUTE: put_or_dash(o, x->route ? x->route->settings.name : SLICE_NONE); break;
    case FIELD_RETRIES: out_number(o, x->retries); break;
    case FIELD_TLS: put_or_dash(o, r->tls_version ? slice_text(r->tls_version) : SLICE_NONE); break;
    case FIELD_REQUEST_ID: put_or_dash(o, x->id); break;
    case FIELD_REFERER: put_or_dash(o, headers_value(&r->headers, HEADER_REFERER)); break;
    case FIELD_USER_AGENT: put_or_dash(o, headers_value(&r->headers, HEADER_USER_AGENT)); break;
    case FIELD_FAILURE: put_or_dash(o, x->failure ? slice_text(rc_word(x->failure)) : SLICE_NONE); break;
    }
}

/* A text stands without its quotes, which a template has where it wants them; its escapes hold there as well. */
static void put_entry(struct out *o, struct exchange *x, struct slice name)
{
    const struct log_entry *e = *find_entry(x, name);
    if (!e)
        out_put(o, SLICE_OF("-"));
    else if (e->json.at[0] == '"')
        out_put(o, slice_make(e->json.at + 1, e->json.len - 2));
    else
        put_value(o, e->json);
}

/* What does not fit is left out, so that the line stays JSON. */
static void end_json(struct out *o, const struct exchange *x)
{
    for (const struct log_entry *e = x->logged; e; e = e->next) {
        if ((size_t)(o->end - o->at) < e->name.len + e->json.len + 5)
            continue;
        out_put(o, SLICE_OF(",\""));
        out_put(o, e->name);
        out_put(o, SLICE_OF("\":"));
        out_put(o, e->json);
    }
    out_put(o, SLICE_OF("}"));
}

void access_log_write(struct exchange *x)
{
    struct plane *p = x->plane;
    const struct generation *g = x->generation;
    uint64_t now_us = clock_us();
    for (uint32_t i = 0; i < g->log_count; i++) {
        const struct access_log *log = g->logs[i];
        const struct log_part *parts = log->format;
        char *line = queue_reserve(&p->log, LINE_MAX_BYTES);
        if (!line) {
            count(&p->counters.log_lost, 1);
            continue;
        }
        struct out o = { line, line + LINE_MAX_BYTES - 1, false };
        for (uint32_t k = 0; k < log->parts; k++)
            if (parts[k].field == FIELD_TEXT)
                out_put(&o, parts[k].text);
            else if (parts[k].field == FIELD_PLUGIN)
                put_entry(&o, x, parts[k].text);
            else
                put_field(&o, (enum field)parts[k].field, x, now_us);
        if (log->settings.format == LOG_JSON)
            end_json(&o, x);
        *o.at++ = '\n';
        queue_commit(&p->log, log->sink, (uint32_t)(o.at - line));
        count(&p->counters.log_lines, 1);
    }
    p->log_ready(p);
}
