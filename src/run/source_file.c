/* source_file: nodes by a file, `discovery: { file: nodes.yaml }`. What is in it, lua/tidegate/discovery.lua knows; the
 * file is watched like those of the configuration, but read alone. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "run/control_state.h"

enum { NAMES_MAX = 16 * 1024 * 1024 };

static struct {
    struct lua_State *L;
    struct file_watch *watch;
    bool is_changed;                    /* sources have come or gone */
} files;

static void start(struct source *s)
{
    (void)s;
    files.is_changed = true;
}

static void stop(struct source *s)
{
    (void)s;
    files.is_changed = true;
}

static const struct source_kind source_file = { .name = "file", .start = start, .stop = stop };

/* "https /etc/nodes.yaml" */
static const char *name_of(const struct source *s) { return strchr(source_words(s), ' ') + 1; }

static void read_all(bool only_new)
{
    for (struct source *s = NULL; (s = sources_next(&source_file, s));) {
        const char *words = source_words(s);
        if (!only_new || !*source_own(s))
            lua_tell(files.L, "discover", &words, 1);   /* it tells the source how that went */
        *source_own(s) = &files;                        /* it was read */
    }
}

/* Which file it was, Lua sees: it remembers what was in them. */
static void on_files_changed(void *who)
{
    (void)who;
    read_all(false);
}

/* Watched first, and then read: what is saved meanwhile is seen. */
void source_files_start(void)
{
    struct buf names;
    if (!files.is_changed)
        return;
    files.is_changed = false;
    buf_init(&names, NAMES_MAX);
    for (struct source *s = NULL; (s = sources_next(&source_file, s));) {
        (void)buf_append(&names, slice_text(name_of(s)));       /* so many files are not watched: a reload reads them */
        (void)buf_append(&names, SLICE_OF("\n"));
    }
    (void)buf_append(&names, slice_make("", 1));
    file_watch_set(files.watch, names.at ? names.at : "");
    buf_reset(&names);
    read_all(true);
}

void source_files_open(struct control *c)
{
    files.L = c->L;
    files.watch = file_watch_new(c->loop, on_files_changed, c);
    source_register(&source_file);
}

void source_files_close(void) { file_watch_free(files.watch); }
