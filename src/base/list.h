#pragma once
/* list: intrusive, doubly linked, circular. A link is a field of the object, named after the list it is on. */
#include <stdbool.h>
#include <stddef.h>

struct link { struct link *prev, *next; };

#define LINK_OWNER(at, type, field) ((type *)(void *)((char *)(at) - offsetof(type, field)))

static inline void list_init(struct link *head) { head->prev = head->next = head; }
static inline bool list_is_empty(const struct link *head) { return head->next == head; }
/* A zeroed link is on no list. */
static inline bool link_is_linked(const struct link *l) { return l->next != NULL; }

static inline void list_append(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_prepend(struct link *head, struct link *l)
{
    l->next = head->next;
    l->prev = head;
    head->next->prev = l;
    head->next = l;
}

static inline void link_remove(struct link *l)
{
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}

/* Moves all links to another list; what was on that is forgotten. */
static inline void list_move(struct link *from, struct link *to)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

/* Takes the first link off, or NULL. */
static inline struct link *list_shift(struct link *head)
{
    struct link *l = head->next;
    if (l == head)
        return NULL;
    link_remove(l);
    return l;
}
