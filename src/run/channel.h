#pragma once
/* channel: what supervisor and worker say to each other over a socket pair. The worker asks, the supervisor answers in
 * order; descriptors travel as SCM_RIGHTS. */
#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "proxy/generation.h"

enum message_kind {
    MESSAGE_HELLO,      /* worker: the configuration is good; text is the pid file, count the grace in milliseconds.
                         * Answer: BOUND without fds, or FAILED */
    MESSAGE_BIND,       /* worker: give me count sockets that listen on text */
    MESSAGE_BOUND,      /* supervisor: here they are; text is the real address */
    MESSAGE_FAILED,     /* supervisor: no; text says why */
    MESSAGE_UNBIND,     /* worker: nobody needs text any more; no answer */
    MESSAGE_ERROR_LOG,  /* worker: the error log is the file text from now on; no answer */
    MESSAGE_READY,      /* worker: accepting connections; text is a line for the user; no answer */
    MESSAGE_QUARANTINE, /* worker: the plugin of this entry has blocked a loop, and the worker ends of it; no answer */
    MESSAGE_DOOMED,     /* worker: cannot start; text is the reason, to be shown as it is; no answer */
};

enum { MESSAGE_TEXT = 60000 };

struct message {
    int32_t kind, count;
    int32_t fds[LOOPS_MAX];     /* received: the receiver's; sent: stay the sender's */
    uint32_t text_len;
    char text[MESSAGE_TEXT];
};

/* Both wait. False when the other side is gone. */
bool channel_send(int fd, const struct message *m);
bool channel_receive(int fd, struct message *m);

void message_set_text(struct message *m, const char *text, size_t len);
