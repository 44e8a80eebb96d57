#pragma once
/* split: the requests of one route go to several services, each by its weight. Without more each request is drawn for
 * itself. Sticky by a header, the same value always has the same service: weighted rendezvous hashing, so that a change
 * of weights moves no more values than it must, and all gateways agree. Sticky by a cookie, the draw is kept by the
 * client. Built once, then immutable. */
#include "base/random.h"
#include "http/request.h"

struct service_slot;

enum { SHARE_TOKEN = 16 };      /* bytes of what a cookie says */

struct share {
    struct service_slot *service;
    uint32_t weight;            /* 0: gets nothing */
    uint32_t traffic;           /* its number in traffic_labels */
    uint64_t seed;              /* of its name: where its hashes begin */
    char token[SHARE_TOKEN];    /* stands for its name in a cookie, and does not tell it */
    struct slice set_cookie;    /* the field's value, with "; Secure" at its end */
};

struct split {
    struct share *shares;
    uint32_t count, cap;
    uint64_t total;             /* of the weights, above 0 */
    struct slice cookie;        /* its name; empty: none */
    struct slice header;        /* its name in lower case; empty: none */
    enum header_id header_id;
    uint32_t max_age_s;         /* of the cookie; 0: as long as the client's session */
};

/* Without stickiness at first: the caller sets cookie and max_age_s, or header and header_id, before the first
 * split_add. cap: how many shares it will have. Lives in the arena, names included. */
struct split *split_new(struct arena *a, uint32_t cap);
/* name: of the service; it must outlive the split. */
struct share *split_add(struct split *s, struct arena *a, struct service_slot *service, struct slice name,
                        uint32_t weight);

/* Never NULL. */
const struct share *split_draw(const struct split *s, struct random *random);
const struct share *split_of_key(const struct split *s, struct slice key);
/* NULL where the text stands for no service that gets requests. */
const struct share *split_of_token(const struct split *s, struct slice text);

/* The share of a request, never NULL. *is_new: the client has to be told (split_set_cookie). */
const struct share *split_choose(const struct split *s, const struct request *r, struct random *random, bool *is_new);
/* Value of the Set-Cookie field. */
struct slice split_set_cookie(const struct share *share, bool is_tls);
