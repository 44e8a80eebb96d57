#include "run/supervisor_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define FILE_VARIABLE "TIDEGATE_ERROR_LOG"      /* a new binary has it, too */

static void write_to(int fd, struct slice line)
{
    if (write(fd, line.at, line.len) < 0)
        return;                 /* the other one has it, maybe */
}

/* The file is opened for each line: there are few of them, and it may have been moved away. */
static void on_line(void *who, struct slice line)
{
    const char *file = getenv(FILE_VARIABLE);
    (void)who;
    write_to(STDERR_FILENO, line);
    int fd = file && *file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640) : -1;
    if (fd < 0)
        return;
    write_to(fd, line);
    close(fd);
}

void supervisor_log_begin(void) { log_set_sink(on_line, NULL); }

void supervisor_log_end(void) { log_set_sink(NULL, NULL); }

void supervisor_log_file(const char *file)
{
    setenv(FILE_VARIABLE, strcmp(file, "stderr") == 0 ? "" : file, 1);
}
