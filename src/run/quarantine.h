#pragma once
/* quarantine: plugins whose code has blocked a loop for too long. The worker dies of it; the supervisor hands the names
 * to the next one in its environment, which does not run that very code again. A changed file is free. */
#include <stdbool.h>
#include <stddef.h>

#define QUARANTINE_VARIABLE "TIDEGATE_QUARANTINE"

/* "name hash" of the code of a plugin as it was loaded last, into out; false where there is none of that name. Any
 * thread. */
bool quarantine_entry(const char *plugin, char *out, size_t size);
/* At the end of the process. */
void quarantine_forget(void);
