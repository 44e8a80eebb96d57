#pragma once
/* control_state: what the files of the control thread share. Nothing else includes it.
 *     control.c   going up and down, signals, the control socket
 *     reload.c    from files to the configuration in force
 *     publish.c   a generation into all loops, with its listeners
 *     renew.c     services whose nodes have changed, likewise
 *     source_file.c   nodes by a file
 *     answers.c   questions of loops
 *     saving.c    what is to survive the process
 *     status.c    how the gateway is */

#include "lua/api.h"
#include "lua/memory.h"
#include "run/channel.h"
#include "run/checker.h"
#include "run/control.h"
#include "run/control_lua.h"
#include "run/loop_thread.h"
#include "run/watch.h"
#include "run/writer.h"

/* A listening address: its identity, where it really listens, and the number of it that routes and connections know. */
struct bound {
    char address[ADDR_TEXT];
    char real[ADDR_TEXT];
    uint16_t port;
    bool is_absent;             /* it could not be bound, and need not be; tried again with the next configuration */
    uint32_t id;
    struct bound *next;
};

struct control {
    const struct control_options *options;
    struct loop *loop;
    struct lua_State *L;
    struct memory memory;               /* ... and what it has */
    struct writer *writer;
    struct watchdog *watchdog;
    struct checker *checker;
    struct queue log;
    struct buf early;                   /* events of the start: nothing may write files for us yet */
    struct loop_thread *loops;
    uint32_t loop_count;
    struct generation *generation;      /* the published one */
    uint64_t generation_number;
    struct bound *bound;
    struct file_watch *files;
    struct control_socket *socket;
    struct watch signals, supervisor;
    struct deadline tickets, saving, drained, renewing, tidying;
    unsigned tidying_rounds;            /* rounds of the garbage collector until all of it is gone */
    size_t tidy_bytes;                  /* what was left of the memory of L then */
    struct message message;             /* to the supervisor, or its answer */
    uint64_t cut_ms;                    /* when the grace of a stop is over; 0: not stopping */
    uint64_t reloads_good, reloads_bad, started_ms;
    char *last_report;                  /* of the last load, for status */
    uint32_t quarantined;               /* items that the last load kept out */
    int exit_code;
};

extern struct control *the_control;     /* one per process, for callbacks without an owner; NULL when it is over */

/* -- control.c -- */

/* A line, or lines, to the error log as they are. */
void control_log(struct control *c, struct slice line);
void control_report(struct control *c, const char *text);
/* Asks the supervisor and waits. False: c->message.text says why not. */
bool control_ask(struct control *c, int kind, int count, const char *text);
void control_tell(struct control *c, int kind, const char *text);

/* -- reload.c -- */

/* A finished generation, which the caller owns, or NULL with the reason in last_report. from: NULL for the files, else
 * as tidegate.control.load knows it: "kept FILE", "rollback N". */
struct generation *reload_load(struct control *c, const char *from);
/* Loads, and what was loaded comes in force. cause: words for log and history. False, with the reason in last_report:
 * nothing has changed. */
bool reload(struct control *c, const char *cause, const char *from);
/* Before the first generation is published: its number goes on where the history beside the pid file ends. */
bool reload_open(struct control *c, struct slice pid_file);
/* What was loaded last is in force: it is kept for a worker that starts when the files are broken, and for rollback. */
void reload_done(struct control *c, const char *cause);

/* -- publish.c -- */

/* Takes the caller's reference. False, with the reason in last_report: nothing has changed. */
bool publish(struct control *c, struct generation *g);
/* A node that no generation names any more. */
void publish_orphan(struct node *n);
/* Closes what is idle in all loops. */
void publish_close_idle(struct node *n);
/* NULL where nobody listens on the address. */
struct bound *bound_find(struct control *c, struct slice address);

/* -- renew.c -- */

void renew_open(struct control *c);
void renew_close(struct control *c);
/* The names of a generation that is about to be published are looked up; waits a bit for those that are new. */
void renew_begin(const struct generation *g);

/* -- source_file.c -- */

/* Nodes by a file: `discovery: { file: nodes.yaml }`. */
void source_files_open(struct control *c);
void source_files_close(void);
/* Reads the files of sources that have started since, and watches all of them. */
void source_files_start(void);

/* -- answers.c -- */

/* Brings a question of a loop here; the answer goes back. */
void answers_ask(struct plane *p, struct ask *a);

/* -- saving.c -- */

void saving_run(struct control *c);
/* For another thread, when the process is about to end. */
void saving_from_afar(void);
