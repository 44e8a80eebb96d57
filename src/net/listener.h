#pragma once
/* listener: binds addresses (in the supervisor) and accepts from them (in each loop). */
#include "net/addr.h"
#include "net/loop.h"

enum { LISTENER_BACKLOG = 65535 };      /* the kernel caps it at net.core.somaxconn */

/* Binds and listens: up to count sockets of one address, so that each loop has its own accept queue (SO_REUSEPORT). A
 * unix socket has one, which all loops share. Port 0 becomes a real port, written back into *a. Gives the number of
 * sockets in fds, or -1 with a sentence that says what to do in why. */
int listener_bind(struct addr *a, int count, int *fds, char *why, size_t size);

/* One accepting socket in one loop. on_accept gets a non-blocking socket that is the receiver's from then on. */
struct listener {
    struct watch watch;
    struct loop *loop;
    void (*on_accept)(struct listener *l, int fd, const struct sockaddr *peer);
    struct deadline pause;              /* after EMFILE: accepting again is pointless before something closes */
    uint64_t errors;
    int spare_fd;                       /* given up for a moment to turn a connection away when fds are out */
};

void listener_start(struct listener *l, struct loop *loop, int fd,
                    void (*on_accept)(struct listener *l, int fd, const struct sockaddr *peer));
/* Stops accepting and closes the fd: the supervisor holds its own copy. */
void listener_stop(struct listener *l);
