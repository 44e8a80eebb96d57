#include "net/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/map.h"

enum { FILE_MAX = 16 * 1024 * 1024, BLOCK = 4096 };

struct entry { struct entry *next; struct addr addr; };

struct hosts {
    char *file;
    struct stat seen;
    struct arena arena;
    struct map names;                   /* to struct entry, in order */
};

struct hosts *hosts_new(const char *file)
{
    struct hosts *h = calloc(1, sizeof *h);
    if (!h || !(h->file = strdup(file)))
        abort();
    arena_init(&h->arena, BLOCK);
    return h;
}

static void forget(struct hosts *h)
{
    map_free(&h->names);
    arena_free(&h->arena);
}

void hosts_free(struct hosts *h)
{
    forget(h);
    free(h->file);
    free(h);
}

/* -- reading -- */

static void add(struct hosts *h, struct slice name, const struct addr *a)
{
    struct entry *made = arena_zero(&h->arena, sizeof *made), *known = map_get(&h->names, name);
    made->addr = *a;
    if (!known) {
        map_put(&h->names, name, made);
        return;
    }
    while (known->next)
        known = known->next;
    known->next = made;
}

/* The next run of bytes that are no blanks, off the front; in lower case, in the arena. */
static struct slice next_word(struct hosts *h, struct slice *line)
{
    size_t from = 0, to;
    while (from < line->len && strchr(" \t\r\v\f", line->at[from]))
        from++;
    for (to = from; to < line->len && !strchr(" \t\r\v\f", line->at[to]);)
        to++;
    char *word = arena_alloc(&h->arena, to - from);
    for (size_t i = from; i < to; i++)
        word[i - from] = (char)byte_lower((unsigned char)line->at[i]);
    *line = slice_from(*line, to);
    return slice_make(word, to - from);
}

static void read_line(struct hosts *h, struct slice line)
{
    struct addr a;
    const char *comment = line.len ? memchr(line.at, '#', line.len) : NULL;
    if (comment)
        line.len = (size_t)(comment - line.at);
    if (line.len && memchr(line.at, 0, line.len))
        return;
    struct slice word = next_word(h, &line);
    if (!word.len || !addr_parse_ip(word, 0, &a))
        return;
    while ((word = next_word(h, &line)).len)
        add(h, word, &a);
}

static void read_all(struct hosts *h, struct slice text)
{
    while (text.len) {
        const char *end = memchr(text.at, '\n', text.len);
        size_t len = end ? (size_t)(end - text.at) : text.len;
        read_line(h, slice_make(text.at, len));
        text = slice_from(text, len + (end != NULL));
    }
}

static void read_file(struct hosts *h)
{
    FILE *f = fopen(h->file, "re");
    char *text = f && h->seen.st_size <= FILE_MAX ? malloc((size_t)h->seen.st_size + 1) : NULL;
    if (text)
        read_all(h, slice_make(text, fread(text, 1, (size_t)h->seen.st_size, f)));
    free(text);
    if (f)
        (void)fclose(f);                /* it was only read */
}

static void look(struct hosts *h)
{
    struct stat now;
    if (stat(h->file, &now) < 0)
        memset(&now, 0, sizeof now);
    if (now.st_mtim.tv_sec == h->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == h->seen.st_mtim.tv_nsec &&
        now.st_ino == h->seen.st_ino && now.st_size == h->seen.st_size)
        return;
    h->seen = now;
    forget(h);
    if (now.st_ino)
        read_file(h);
}

uint32_t hosts_find(struct hosts *h, struct slice name, struct addr *out, uint32_t max)
{
    uint32_t n = 0;
    look(h);
    for (const struct entry *e = map_get(&h->names, name); e && n < max; e = e->next)
        out[n++] = e->addr;
    return n;
}
