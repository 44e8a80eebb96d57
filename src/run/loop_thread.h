#pragma once
/* loop_thread: one data-plane loop with its thread, its listeners and its plane. The control thread drives it through
 * jobs. */
#include <pthread.h>

#include "proxy/plane.h"
#include "run/writer.h"

/* Counts answers that the control thread waits for. */
struct acks {
    pthread_mutex_t lock;
    pthread_cond_t all;
    unsigned missing;
};
void acks_init(struct acks *a, unsigned missing);
void acks_give(struct acks *a);
void acks_wait(struct acks *a);

struct accepting {                      /* one listening socket of one loop */
    struct listener listener;
    struct link in_all;                 /* loop_thread.accepting */
    struct loop_thread *owner;
    char address[ADDR_TEXT];            /* identity */
    uint16_t port;                      /* the real one */
    uint32_t index;                     /* in the current generation */
    uint32_t id;                        /* bit of the listener in routes, the same over reloads */
};

struct loop_thread {
    struct plane plane;
    struct writer *writer;
    pthread_t thread;
    _Atomic pid_t tid;                  /* of the thread, for the kernel; 0: not running yet */
    struct link accepting;
    bool stopping;
    uint64_t leave_until_ms;            /* WebSockets have until then to answer that they close; 0: not asked yet */
    struct deadline leave;
};

/* A socket for one loop, with the identity of its listener. */
struct new_listener { char address[ADDR_TEXT]; uint16_t port; uint32_t id; int fd; };

void loop_thread_start(struct loop_thread *t, uint32_t index, struct writer *w);
/* Joins; the thread must have been told to stop. */
void loop_thread_join(struct loop_thread *t);

/* Loads the plugins of g into the loop's Lua. Answers through acks; failed is set, with the reason, where they do not
 * load. */
struct prepared { _Atomic bool failed; char why[1024]; };
void loop_thread_prepare(struct loop_thread *t, struct generation *g, struct prepared *result, struct acks *acks);
/* Takes back what prepare did, for a generation that is not published. */
void loop_thread_retire(struct loop_thread *t, struct generation *g, struct acks *acks);
/* Makes g current (taking one reference) and the listeners those of g: takes the fds of `added`, closes what g does not
 * name. Answers through acks. */
void loop_thread_install(struct loop_thread *t, struct generation *g, const struct new_listener *added, uint32_t count,
                         struct acks *acks);
/* Lets the loop's requests use s, taking over one reference; the slot belongs to the current generation. */
void loop_thread_swap_service(struct loop_thread *t, struct service_slot *slot, struct service *s);
/* No new connections, no new requests. */
void loop_thread_drain(struct loop_thread *t);
/* Cuts what is left and ends the loop. */
void loop_thread_stop(struct loop_thread *t);
/* Closes the loop's idle connections to a node, which somebody still names. */
void loop_thread_close_idle(struct loop_thread *t, struct node *n);
/* Closes the loop's pool of a node; the last loop frees it. */
void loop_thread_close_pool(struct loop_thread *t, struct node *n);
