/* reload: from the files to the configuration in force. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "run/control_state.h"

struct generation *reload_load(struct control *c, const char *good)
{
    const char *args[] = { c->options->config, c->options->overrides, good };
    struct lua_result got[3];
    file_watch_note(c->files);
    if (!lua_ask(c->L, "load", args, 3, got, 3)) {
        control_report(c, "internal error while loading the configuration: see the log\n");
        return NULL;
    }
    control_report(c, got[1].text ? got[1].text : "");
    if (got[2].text)
        file_watch_set(c->files, got[2].text);
    free(got[1].text);
    free(got[2].text);
    lua_tidy(c->L);
    return got[0].is_number ? (struct generation *)(uintptr_t)got[0].number : NULL;
}

void reload_keep(struct control *c)
{
    char name[PATH_MAX + 8];
    struct slice pid_file = c->generation->gateway.pid_file;
    const char *file = name;
    snprintf(name, sizeof name, "%.*s.good", (int)pid_file.len, pid_file.at);
    lua_tell(c->L, "keep", &file, 1);   /* nothing depends on it now */
}

bool reload(struct control *c)
{
    struct generation *g = reload_load(c, NULL);
    bool good = g && publish(c, g);
    if (good) {
        c->reloads_good++;
        reload_keep(c);
        log_info("control", "configuration in force", "generation", log_number(c->generation_number));
    } else {
        c->reloads_bad++;
        log_error("control", "configuration refused, the running one stays");
        /* The report has lines of its own, with carets: to the log as it is. */
        control_log(c, slice_make(c->last_report, strlen(c->last_report) < 32768 ? strlen(c->last_report) : 32768));
    }
    return good;
}
