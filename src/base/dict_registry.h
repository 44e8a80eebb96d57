#pragma once
/* dict_registry: the dictionaries of the process by name. One is made when it is asked for the first time and stays
 * until the process ends, over all reloads, so that a pointer to it is always good. */
#include "base/dict.h"

enum { DICTS_MAX = 256, DICT_NAME_MAX = 64 };
#define DICT_BYTES_DEFAULT ((size_t)8 << 20)

struct dict_listed {
    struct dict *dict;
    struct slice name;
    bool configured;            /* its size was set by registry_configure */
};

/* Any thread. Finds a dictionary or makes one of so many bytes (0: the default); *out is not changed by a refusal.
 * RC_MALFORMED  a name is 1 to DICT_NAME_MAX printable ASCII characters without spaces
 * RC_FULL       there are DICTS_MAX already
 * RC_LIMIT      bytes are outside of what dict_new takes, or the system has no such memory */
enum rc registry_use(struct slice name, size_t bytes, struct dict **out);

/* Control thread. Finds or makes it, and gives it this size. Errors as above. */
enum rc registry_configure(struct slice name, size_t bytes, double now_s, struct dict **out);

/* Control thread. A dictionary that is not in the configuration any more is emptied and has the default size; who still
 * uses it may go on. False when there is none that was configured. */
bool registry_retire(struct slice name, double now_s);

/* Any thread. The dictionary at this place, from 0 in the order in which they were made; false behind the last. */
bool registry_at(uint32_t index, struct dict_listed *out);
