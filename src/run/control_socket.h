#pragma once
/* control_socket: a unix socket beside the pid file (".sock" for ".pid") on which the command line talks to the running
 * gateway: one line in, one text out, then it closes. Only its owner may connect. */
#include "net/loop.h"

struct control_socket;

/* command gives a malloc'ed text. NULL with the reason when the socket cannot be made. */
struct control_socket *control_socket_new(struct loop *loop, const char *pid_file,
                                          char *(*command)(void *who, const char *line), void *who, char *why,
                                          size_t size);
void control_socket_free(struct control_socket *s);
