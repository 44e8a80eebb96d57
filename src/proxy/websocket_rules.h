#pragma once
/* websocket_rules: what a route has to say of WebSockets: who may open one, what is added to the handshake, and how the
 * two ends are kept. Built once, then immutable. */
#include "base/arena.h"
#include "base/slice.h"
#include "proxy/settings.h"

struct fixed_header { struct slice name, value; struct fixed_header *next; };

/* Where a page must come from: scheme, host and port as an Origin field has them (RFC 6454 section 7). */
struct origin_pattern {
    struct slice scheme;                /* empty: any */
    struct slice host;                  /* with the port, where one is written; lower case */
    bool below;                         /* "*.": what stands before it counts, not the host itself */
    struct origin_pattern *next;
};

enum { WEBSOCKET_MESSAGE_MAX = 512 * 1024 };   /* bytes, where only a plugin looks inside */

struct websocket_rules {
    struct websocket_settings settings;
    struct origin_pattern *origins;     /* NULL: any */
    struct fixed_header *headers;       /* added to what the upstream gets */
};

/* text: scheme, host and port, or without the scheme or the port, or "*." for the host's first labels, or "null"; in
 * lower case. Lives in the arena. Control thread. */
void websocket_rules_allow(struct websocket_rules *w, struct arena *a, struct slice text);
/* Where origins are named: whether this one is among them. */
bool websocket_rules_let_in(const struct websocket_rules *w, struct slice origin);
