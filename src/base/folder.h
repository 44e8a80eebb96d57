#pragma once
/* folder: the one thing we do with folders. */

/* Makes the folders above a file, as far as they are missing. A failure shows when the file is opened. */
void folder_make_above(const char *file);
