#pragma once
/* watch: tells when one of a set of files has changed, however it was saved: written in place, renamed over, reached
 * through a symlink that was swapped, deleted, created. Debounced: an editor's burst is one change. */
#include "net/loop.h"

struct file_watch;

struct file_watch *file_watch_new(struct loop *loop, void (*changed)(void *who), void *who);
void file_watch_free(struct file_watch *w);
/* Call before the files are read: how they are now is "unchanged". */
void file_watch_note(struct file_watch *w);
/* The files to look at from now on, one absolute name per line; a line "glob /folder/PATTERN" is the set of names that
 * glob(3) finds: one that comes or goes is a change. What has changed since file_watch_note is told soon: a save while
 * the files were being read is not missed. */
void file_watch_set(struct file_watch *w, const char *files);
