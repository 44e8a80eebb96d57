#include "run/channel.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

void message_set_text(struct message *m, const char *text, size_t len)
{
    m->text_len = (uint32_t)(len < MESSAGE_TEXT - 1 ? len : MESSAGE_TEXT - 1);
    memcpy(m->text, text, m->text_len);
    m->text[m->text_len] = 0;
}

/* The socket pair is SOCK_SEQPACKET: one message, one packet. */
bool channel_send(int fd, const struct message *m)
{
    union { struct cmsghdr head; char space[CMSG_SPACE(sizeof m->fds)]; } control;
    struct iovec part = { (void *)(uintptr_t)m, offsetof(struct message, text) + m->text_len + 1 };
    struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
    if (m->kind == MESSAGE_BOUND) {
        size_t bytes = (size_t)m->count * sizeof(int);
        memset(&control, 0, sizeof control);
        h.msg_control = &control;
        h.msg_controllen = CMSG_SPACE(bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(c), m->fds, bytes);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &h, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

bool channel_receive(int fd, struct message *m)
{
    union { struct cmsghdr head; char space[CMSG_SPACE(sizeof m->fds)]; } control;
    struct iovec part = { m, sizeof *m };
    struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t n;
    do
        n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)offsetof(struct message, text) || m->text_len >= MESSAGE_TEXT)
        return false;
    m->text[m->text_len] = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(m->fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return true;
}
