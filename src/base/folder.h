#pragma once
/* folder: the one thing we do with folders. */

/* Makes the folders above a file, as far as they are missing. 0, or the errno that says why the last of them may not be
 * there: more than the ENOENT of the open that follows. */
int folder_make_above(const char *file);
