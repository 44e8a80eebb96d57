#include "net/lookup.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

enum { ASKERS_MAX = 65536, PATIENCE_MS = 500 };

struct question {
    struct link in_known, in_queue;
    struct link askers;                 /* struct asker.in_question */
    struct finding *found;              /* NULL: nothing so far */
    uint64_t until_ms;                  /* when it is to be asked anew */
    bool open;                          /* queued, or in the thread's hands */
    size_t len;
    char key[];
};

struct asker {
    struct job job;
    struct link in_all, in_question;
    struct lookup *lookup;
    struct loop *loop;
    lookup_fn *fn;
    double who;
};

struct worker { struct lookup *lookup; unsigned turn; };        /* what its thread begins with */

struct user {
    struct ending ending;
    struct user *next;
    struct lookup *lookup;
    struct loop *loop;
};

void finding_drop(struct finding *f)
{
    if (f && atomic_fetch_sub(&f->refs, 1) == 1)
        f->free(f);
}

static struct finding *keep(struct finding *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

/* -- answers; under the lock -- */

static void remove_asker(struct asker *a)
{
    link_remove(&a->in_all);
    link_remove(&a->in_question);
    a->lookup->asker_count--;
}

static void on_answer(struct loop *loop, struct job *job)
{
    struct asker *a = (struct asker *)(void *)job;
    pthread_mutex_lock(&a->lookup->lock);
    remove_asker(a);
    pthread_mutex_unlock(&a->lookup->lock);
    a->fn(loop, a->who);
    free(a);
}

static void settle(struct lookup *l, struct question *q, struct finding *f)
{
    finding_drop(q->found);
    q->found = f;
    q->until_ms = clock_us() / 1000 + (f->failed ? l->bad_ms : l->good_ms);
    q->open = false;
    for (struct link *next; (next = list_shift(&q->askers));) {
        struct asker *a = LINK_OWNER(next, struct asker, in_question);
        loop_post(a->loop, &a->job);
    }
}

/* -- the thread -- */

static void find_one(struct lookup *l, struct question *q, unsigned turn)
{
    char key[LOOKUP_KEY_MAX];
    size_t len = q->len;
    memcpy(key, q->key, len);
    pthread_mutex_unlock(&l->lock);
    struct finding *f = l->find(slice_make(key, len));
    pthread_mutex_lock(&l->lock);
    if (l->turn == turn)
        settle(l, q, f);
    else
        finding_drop(f);                /* nobody waits any more, and q is gone */
}

static void *work(void *who)
{
    struct lookup *l = ((struct worker *)who)->lookup;
    unsigned turn = ((struct worker *)who)->turn;
    free(who);
    pthread_setname_np(pthread_self(), l->name);
    pthread_mutex_lock(&l->lock);
    while (l->turn == turn) {
        struct link *next = list_shift(&l->queue);
        if (next)
            find_one(l, LINK_OWNER(next, struct question, in_queue), turn);
        else
            pthread_cond_wait(&l->asked, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void start(struct lookup *l)
{
    list_init(&l->known);
    list_init(&l->queue);
    list_init(&l->askers);
    struct worker *w = malloc(sizeof *w);
    if (!w)
        abort();
    *w = (struct worker){ l, l->turn };
    if (pthread_create(&l->thread, NULL, work, w) != 0)
        abort();
}

static void forget(struct lookup *l, struct question *q)
{
    map_remove(&l->questions, slice_make(q->key, q->len));
    link_remove(&q->in_known);
    finding_drop(q->found);
    free(q);
}

/* The thread may be in the middle of a call that takes long: then the end of the process does not wait for it. */
static void stop(struct lookup *l)
{
    pthread_t thread = l->thread;
    l->turn++;
    while (!list_is_empty(&l->known))
        forget(l, LINK_OWNER(l->known.next, struct question, in_known));
    map_free(&l->questions);
    pthread_cond_broadcast(&l->asked);
    pthread_mutex_unlock(&l->lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PATIENCE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0)
        pthread_detach(thread);
    pthread_mutex_lock(&l->lock);
}

/* -- loops -- */

static void on_loop_end(struct loop *loop, struct ending *e)
{
    struct user *u = LINK_OWNER(e, struct user, ending);
    struct lookup *l = u->lookup;
    pthread_mutex_lock(&l->lock);
    for (struct link *i = l->askers.next, *next; i != &l->askers; i = next) {
        struct asker *a = LINK_OWNER(i, struct asker, in_all);
        next = i->next;
        if (a->loop != loop)
            continue;
        remove_asker(a);                /* its job, should it be posted already, is never run */
        free(a);
    }
    for (struct user **at = &l->users; *at; at = &(*at)->next)
        if (*at == u) {
            *at = u->next;
            break;
        }
    free(u);
    if (!l->users)
        stop(l);
    pthread_mutex_unlock(&l->lock);
}

static void join(struct lookup *l, struct loop *loop)
{
    for (const struct user *u = l->users; u; u = u->next)
        if (u->loop == loop)
            return;
    struct user *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    if (!l->users)
        start(l);
    u->lookup = l;
    u->loop = loop;
    u->next = l->users;
    l->users = u;
    loop_at_end(loop, &u->ending, on_loop_end);
}

/* -- questions -- */

/* Takes the place of one that nobody waits for. False when all are open. */
static bool make_room(struct lookup *l)
{
    if (l->questions.count < l->max)
        return true;
    for (struct link *i = l->known.next; i != &l->known; i = i->next) {
        struct question *q = LINK_OWNER(i, struct question, in_known);
        if (q->open)
            continue;
        forget(l, q);
        return true;
    }
    return false;
}

static struct question *question_for(struct lookup *l, struct slice key)
{
    struct question *q = map_get(&l->questions, key);
    if (q) {
        link_remove(&q->in_known);
    } else if (make_room(l)) {
        q = calloc(1, sizeof *q + key.len);
        if (!q)
            abort();
        q->len = key.len;
        memcpy(q->key, key.at, key.len);
        list_init(&q->askers);
        map_put(&l->questions, slice_make(q->key, q->len), q);
    } else {
        return NULL;
    }
    list_append(&l->known, &q->in_known);
    return q;
}

static enum rc ask(struct lookup *l, struct question *q, struct asker wish)
{
    if (l->asker_count == ASKERS_MAX)
        return RC_FULL;
    struct asker *a = malloc(sizeof *a);
    if (!a)
        abort();
    *a = wish;
    l->asker_count++;
    list_append(&l->askers, &a->in_all);
    list_append(&q->askers, &a->in_question);
    if (!q->open) {
        q->open = true;
        list_append(&l->queue, &q->in_queue);
        pthread_cond_signal(&l->asked);
    }
    return RC_AGAIN;
}

enum rc lookup_ask(struct lookup *l, struct loop *loop, struct slice key, lookup_fn *fn, double who,
                   struct finding **out)
{
    enum rc rc = RC_OK;
    assert(key.len <= LOOKUP_KEY_MAX);
    pthread_mutex_lock(&l->lock);
    join(l, loop);
    struct question *q = question_for(l, key);
    if (!q)
        rc = RC_FULL;
    else if (q->found && !q->open && loop->clock.now_ms < q->until_ms)
        *out = keep(q->found);
    else
        rc = ask(l, q, (struct asker){ .job.run = on_answer, .lookup = l, .loop = loop, .fn = fn, .who = who });
    pthread_mutex_unlock(&l->lock);
    return rc;
}
