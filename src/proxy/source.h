#pragma once
/* source: nodes of a service that something else than the configuration knows: records of a name server, a file, a
 * registry. A service has one source at most, and services that say the same share it. The control thread's only.
 *
 * A kind of source is a struct source_kind, registered once at the start. It is told when a source is wanted and when
 * no more, and gives a whole list of nodes whenever there is another one: source_begin, source_add for each,
 * source_give. Where it fails it says so, and the last list stays. It never waits: what takes time, it does on the
 * control loop. */
#include "base/arena.h"
#include "base/list.h"
#include "net/names.h"
#include "proxy/settings.h"

/* Nodes as they were asked for: one address, or a name that has any number of them. */
struct node_wish {
    struct node_settings settings;      /* texts live as long as the wish */
    struct name *name;                  /* NULL: the host is an address, or a unix socket */
};

/* False where the host is neither a name nor an address. The wish is given back by wish_drop. */
bool wish_make(struct node_wish *w, const struct node_settings *s);
void wish_drop(struct node_wish *w);
/* Whether it may be for another address than before names_settle. */
static inline bool wish_has_news(const struct node_wish *w) { return w->name && name_is_news(w->name); }

struct source;

struct source_kind {
    const char *name;                   /* the key of `discovery` in the configuration */
    void (*start)(struct source *s);
    void (*stop)(struct source *s);
    void (*look)(struct source *s);     /* names may mean something else; NULL: that does not matter */
};

void source_register(const struct source_kind *kind);

/* -- for services -- */

/* Counted for one more service. Nothing is started before sources_start. */
struct source *source_want(struct slice kind, struct slice words);
void source_drop(struct source *s);
const struct node_wish *source_wishes(const struct source *s, uint32_t *count);
bool source_has_news(const struct source *s);

/* -- for kinds -- */

/* What the configuration says behind the key. */
const char *source_words(const struct source *s);
/* Something of the kind's own, NULL at the start. */
void **source_own(struct source *s);
void source_begin(struct source *s);
/* All zero but for its weight of 1 and being enabled; texts by source_text. */
struct node_settings *source_add(struct source *s);
struct slice source_text(struct source *s, struct slice text);
void source_give(struct source *s);
void source_fail(struct source *s, const char *why);

/* -- for the control thread -- */

/* changed is called when a source has given another list. */
void sources_open(void (*changed)(void));
/* Starts those that are wanted and were not. */
void sources_start(void);
void sources_look(void);
/* There is no more news. */
void sources_settle(void);
/* The next source of a kind behind s, or the first; NULL: there is no more. */
struct source *sources_next(const struct source_kind *kind, const struct source *s);
struct source *source_find(const char *kind, const char *words);

struct source_report {
    const char *kind, *words;
    uint32_t count;                     /* nodes that it names */
    uint64_t good_ms;                   /* wall time of the last list; 0: there was none */
    uint32_t failures;                  /* since then */
    const char *why;                    /* of the last of them; "" where there is none */
};

/* From 0 on, in the order in which they came; false behind the last. */
bool source_report(uint32_t index, struct source_report *out);
