#include "base/folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int folder_make_above(const char *file)
{
    char path[PATH_MAX];
    int why = 0;
    snprintf(path, sizeof path, "%s", file);
    for (char *c = path + 1; *path && (c = strchr(c, '/')); c++) {
        *c = 0;
        why = mkdir(path, 0755) < 0 && errno != EEXIST ? errno : 0;
        *c = '/';
    }
    return why;
}
