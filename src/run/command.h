#pragma once
/* command: what the Lua command line asks of the processes: to become a gateway, or to look at one. */
#include "lua/api.h"

struct command { int mode; char *config, *overrides; };     /* mode: enum tide_mode */

/* What tide_command was told; TIDE_EXIT when it was not called. */
const struct command *command_wanted(void);
