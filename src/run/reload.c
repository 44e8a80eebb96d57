/* reload: from the files to the configuration in force. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/pace.h"
#include "lua/gently.h"
#include "run/control_state.h"

enum {
    REPORT_LOGGED = 32768,
    TIDY_RUN_US = 200, TIDY_REST_MS = 2,
};

struct generation *reload_load(struct control *c, const char *from)
{
    const char *args[] = { c->options->config, c->options->overrides, from };
    struct lua_result got[4];
    file_watch_note(c->files);
    c->quarantined = 0;
    if (!lua_ask(c->L, "load", args, 3, got, 4)) {
        control_report(c, "internal error while loading the configuration: see the log\n");
        return NULL;
    }
    control_report(c, got[1].text ? got[1].text : "");
    if (got[2].text)
        file_watch_set(c->files, got[2].text);
    free(got[1].text);
    free(got[2].text);
    c->quarantined = (uint32_t)got[3].number;
    return got[0].is_number ? (struct generation *)(uintptr_t)got[0].number : NULL;
}

bool reload_open(struct control *c, struct slice pid_file)
{
    const char *arg = pid_file.at;
    struct lua_result got;
    if (!lua_ask(c->L, "open", &arg, 1, &got, 1))
        return false;
    c->generation_number = (uint64_t)got.number;
    return true;
}

static void tidied(struct control *c)
{
    c->tidy_bytes = lua_memory(c->L);
    c->tidying_rounds = 0;
}

static void on_tidying(struct deadline *d)
{
    struct control *c = LINK_OWNER(d, struct control, tidying);
    if (lua_tidy_some(c->L, TIDY_RUN_US) && --c->tidying_rounds == 0)
        tidied(c);
    else
        loop_deadline(c->loop, d, c->loop->clock.now_ms + TIDY_REST_MS);
}

/* What a load has left behind is little as a rule, and looking through all that lives costs as much as the load: it is
 * done bit by bit. Large leftovers go at once. */
static void tidy(struct control *c)
{
    if (lua_memory(c->L) > 2 * c->tidy_bytes) {
        lua_tidy(c->L);
        deadline_remove(&c->loop->deadlines, &c->tidying);
        tidied(c);
        return;
    }
    /* A round that has begun may have passed by what was dropped since. */
    c->tidying_rounds = c->tidying_rounds ? 2 : 1;
    c->tidying.fire = on_tidying;
    loop_deadline(c->loop, &c->tidying, c->loop->clock.now_ms + TIDY_REST_MS);
}

void reload_done(struct control *c, const char *cause)
{
    char number[24];
    const char *args[] = { number, cause };
    snprintf(number, sizeof number, "%llu", (unsigned long long)c->generation_number);
    lua_tell(c->L, "in_force", args, 2);        /* nothing depends on it now */
    tidy(c);
}

static void refuse(struct control *c, const char *cause)
{
    const char *args[] = { cause, c->last_report };
    lua_tell(c->L, "refused", args, 2);
    tidy(c);
}

/* The report has lines of its own, with carets: to the log as it is. */
static void log_report(struct control *c)
{
    size_t len = strlen(c->last_report);
    control_log(c, slice_make(c->last_report, len < REPORT_LOGGED ? len : REPORT_LOGGED));
}

static bool reload_now(struct control *c, const char *cause, const char *from)
{
    struct generation *g = reload_load(c, from);
    if (!g || !publish(c, g)) {
        c->reloads_bad++;
        log_error("control", "configuration refused, the running one stays", "cause", cause);
        log_report(c);
        refuse(c, cause);
        return false;
    }
    c->reloads_good++;
    log_info("control", "configuration in force", "generation", log_number(c->generation_number), "cause", cause);
    if (c->quarantined)
        log_error("control", "a part of the configuration is bad and in quarantine", "items",
                  log_number(c->quarantined));
    if (c->last_report[0])
        log_report(c);                  /* warnings, too: who saves a file looks nowhere else */
    if (from)
        log_warn("control", "the files say something else than what is in force: the next save takes them", "cause",
                 cause);
    pace_begin();                       /* nobody waits for the rest */
    reload_done(c, cause);
    return true;
}

bool reload(struct control *c, const char *cause, const char *from)
{
    gently_begin(c->L);
    bool good = reload_now(c, cause, from);
    gently_end(c->L);
    return good;
}
