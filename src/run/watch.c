#include "run/watch.h"

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { QUIET_MS = 25, MOST_MS = 60 };   /* wait until the burst is over, but not for ever */

/* Folders are watched, not files: a file that is replaced is another file. */
enum { EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MODIFY };

struct seen { dev_t dev; ino_t ino; off_t size; struct timespec mtime; bool exists; };
struct file { char *name; struct seen seen; };

struct file_watch {
    struct loop *loop;
    struct watch watch;
    struct deadline quiet;
    uint64_t first_ms;                  /* of the burst */
    struct file *files;
    int count;
    void (*changed)(void *who);
    void *who;
};

/* The pattern of a line that is one; NULL where it is the name of a file. */
static const char *pattern_of(const char *name)
{
    static const char prefix[] = "glob ";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : NULL;
}

/* The names that a pattern finds, as a sum: which they are matters, not how they are. */
static struct seen look_for(const char *pattern)
{
    struct seen seen = { .exists = true };
    glob_t found;
    if (glob(pattern, GLOB_MARK, NULL, &found) != 0)
        return seen;
    uint64_t sum = 14695981039346656037u;                       /* FNV-1a */
    for (size_t i = 0; i < found.gl_pathc; i++)
        for (const char *at = found.gl_pathv[i];; at++) {
            sum = (sum ^ (unsigned char)*at) * 1099511628211u;
            if (!*at)
                break;
        }
    seen.ino = sum;
    seen.size = (off_t)found.gl_pathc;
    globfree(&found);
    return seen;
}

static struct seen look(const char *name)
{
    struct stat st;
    if (pattern_of(name))
        return look_for(pattern_of(name));
    if (stat(name, &st) < 0)
        return (struct seen){ 0 };
    if (S_ISDIR(st.st_mode))            /* what is in it is looked at by name: an editor's own files are no change */
        return (struct seen){ .dev = st.st_dev, .ino = st.st_ino, .exists = true };
    return (struct seen){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, true };
}

static bool is_same(const struct seen *a, const struct seen *b)
{
    return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* The folder of a name, and the folder it really lies in. Adding one twice is the same watch. */
static void watch_folders(struct file_watch *w, const char *name)
{
    char copy[PATH_MAX], real[PATH_MAX];
    if (w->watch.fd < 0)
        return;
    snprintf(copy, sizeof copy, "%s", name);
    (void)inotify_add_watch(w->watch.fd, dirname(copy), EVENTS);        /* a folder that is not there: nothing to see */
    if (realpath(name, real))
        (void)inotify_add_watch(w->watch.fd, dirname(real), EVENTS);
}

/* The folders that names of a pattern may appear in: for each level the ones that are there now. */
static void watch_pattern(struct file_watch *w, const char *pattern)
{
    char level[PATH_MAX];
    const char *wild = pattern + strcspn(pattern, "\\*?[");
    if (w->watch.fd < 0)
        return;
    for (const char *slash = strchr(pattern + 1, '/'), *next; slash; slash = next) {
        glob_t found;
        next = strchr(slash + 1, '/');
        if (next && next < wild)
            continue;                   /* busy folders such as /tmp have little to tell */
        snprintf(level, sizeof level, "%.*s", (int)(slash - pattern), pattern);
        if (glob(level, GLOB_ONLYDIR, NULL, &found) != 0)
            return;
        for (size_t i = 0; i < found.gl_pathc; i++)
            (void)inotify_add_watch(w->watch.fd, found.gl_pathv[i], EVENTS | IN_ONLYDIR);   /* gone already: no loss */
        globfree(&found);
    }
}

static void on_quiet(struct deadline *d)
{
    struct file_watch *w = LINK_OWNER(d, struct file_watch, quiet);
    bool changed = false;
    w->first_ms = 0;
    for (int i = 0; i < w->count; i++) {
        if (pattern_of(w->files[i].name))       /* a folder that has come since is a place for names, too */
            watch_pattern(w, pattern_of(w->files[i].name));
        struct seen now = look(w->files[i].name);
        changed |= !is_same(&now, &w->files[i].seen);
        w->files[i].seen = now;
    }
    if (changed)
        w->changed(w->who);
}

static void look_soon(struct file_watch *w)
{
    uint64_t now = w->loop->clock.now_ms, due = now + QUIET_MS;
    if (!w->first_ms)
        w->first_ms = now;
    if (due > w->first_ms + MOST_MS)
        due = w->first_ms + MOST_MS;
    deadline_remove(&w->loop->deadlines, &w->quiet);
    loop_deadline(w->loop, &w->quiet, due);
}

static void on_readable(struct watch *watch)
{
    struct file_watch *w = LINK_OWNER(watch, struct file_watch, watch);
    char events[16 * 1024] __attribute__((aligned(8)));
    while (read(watch->fd, events, sizeof events) > 0)
        ;                               /* which file it was, the comparison tells */
    look_soon(w);
}

static void open_inotify(struct file_watch *w)
{
    loop_unwatch(w->loop, &w->watch);
    if (w->watch.fd >= 0)
        close(w->watch.fd);
    w->watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->watch.fd < 0) {
        log_warn("watch", "cannot watch files: saved files are read on the next reload", "why", strerror(errno));
        return;
    }
    loop_watch(w->loop, &w->watch);
}

struct file_watch *file_watch_new(struct loop *loop, void (*changed)(void *who), void *who)
{
    struct file_watch *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->loop = loop;
    w->changed = changed;
    w->who = who;
    w->watch.fd = -1;
    w->watch.on_readable = on_readable;
    w->quiet.fire = on_quiet;
    return w;
}

static void forget_files(struct file *files, int count)
{
    for (int i = 0; i < count; i++)
        free(files[i].name);
    free(files);
}

void file_watch_free(struct file_watch *w)
{
    forget_files(w->files, w->count);
    deadline_remove(&w->loop->deadlines, &w->quiet);
    loop_unwatch(w->loop, &w->watch);
    if (w->watch.fd >= 0)
        close(w->watch.fd);
    free(w);
}

void file_watch_note(struct file_watch *w)
{
    for (int i = 0; i < w->count; i++)
        w->files[i].seen = look(w->files[i].name);
}

static struct seen noted(const struct file *files, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return files[i].seen;
    return look(name);
}

void file_watch_set(struct file_watch *w, const char *files)
{
    struct file *old = w->files;
    int old_count = w->count;
    w->files = NULL;
    w->count = 0;
    open_inotify(w);
    while (*files) {
        size_t len = strcspn(files, "\n");
        if (len && len < PATH_MAX) {
            w->files = realloc(w->files, (size_t)(w->count + 1) * sizeof *w->files);
            char *name = strndup(files, len);
            if (!w->files || !name)
                abort();
            if (pattern_of(name))
                watch_pattern(w, pattern_of(name));
            else
                watch_folders(w, name);
            w->files[w->count++] = (struct file){ name, noted(old, old_count, name) };
        }
        files += len + (files[len] == '\n');
    }
    forget_files(old, old_count);
    look_soon(w);
}
