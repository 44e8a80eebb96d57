#include "base/folder.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void folder_make_above(const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", file);
    for (char *c = path + 1; *path && (c = strchr(c, '/')); c++) {
        *c = 0;
        (void)mkdir(path, 0755);        /* there already, or the open that follows says why not */
        *c = '/';
    }
}
