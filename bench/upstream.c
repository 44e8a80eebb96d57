/* upstream: the server behind the proxies, as cheap as one thread can be, so that it is never what is measured.
 *
 *   upstream [--core N]
 *
 * Listens on a free port of 127.0.0.1 and prints one line with it. Any path whose last segment is N, Nk or Nm gives a
 * body of that size, in bytes, KiB or MiB (GET /1k); a POST gives its body back. It speaks just the HTTP/1.1 that a
 * proxy needs: Content-Length bodies, one request after the other. A request for a WebSocket gets one, on any path,
 * and its messages come back. */
#include "machine.h"
#include "websocket.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_BYTES (32 * 1024)              /* room for a read; the buffer of a connection grows with its body */
#define REQUEST_MAX (8 * 1024 * 1024)
#define PAGE_MAX (64 * 1024 * 1024)
#define PAGES 16                            /* sizes asked for in one life */
#define HEAD_MAX 256                        /* of a response */
#define EVENTS 256

struct page {               /* a whole response, made when its size is first asked for */
    size_t body_bytes;
    char *bytes;
    size_t len;
};

struct head {               /* what matters of a request's head */
    size_t len;
    bool post, close;
    size_t body_bytes;
    size_t page_bytes;
    const char *key;        /* Sec-WebSocket-Key; NULL: a plain request */
};

struct peer {               /* one connection */
    int fd;
    bool close;             /* after this response */
    bool switched;          /* a WebSocket by now */
    char *in;
    size_t in_len, in_room;
    struct iovec out[2];    /* still to send: for an echo the head, then the body, a view into in */
    char echo_head[HEAD_MAX];
    size_t consumed;        /* the request's share of in, forgotten when the response is out */
};

static struct page pages[PAGES];
static int page_count;

/* ---- responses ---- */

/* The headers that servers usually send, so that proxies have the usual work; the date need not be right. */
static size_t response_head(char at[HEAD_MAX], size_t body_bytes)
{
    return (size_t)snprintf(at, HEAD_MAX, "HTTP/1.1 200 OK\r\nServer: upstream\r\n"
                            "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/octet-stream\r\n"
                            "Content-Length: %zu\r\n\r\n", body_bytes);
}

static const struct page *page_find(size_t body_bytes)
{
    for (int i = 0; i < page_count; i++)
        if (pages[i].body_bytes == body_bytes)
            return &pages[i];
    if (page_count == PAGES)
        die("more than %d sizes of response", PAGES);
    struct page *page = &pages[page_count++];
    page->body_bytes = body_bytes;
    page->bytes = malloc(HEAD_MAX + body_bytes);
    if (!page->bytes)
        die("no memory for a response of %zu bytes", body_bytes);
    page->len = response_head(page->bytes, body_bytes) + body_bytes;
    memset(page->bytes + page->len - body_bytes, 'x', body_bytes);
    return page;
}

/* ---- requests ---- */

/* The size that the last segment of the path names; more than PAGE_MAX where it names none. */
static size_t path_bytes(const char *path, const char *end)
{
    const char *slash = memrchr(path, '/', (size_t)(end - path));
    if (!slash || slash + 1 == end)
        return SIZE_MAX;
    char *unit;
    unsigned long long bytes = strtoull(slash + 1, &unit, 10);
    if (bytes > PAGE_MAX)
        return SIZE_MAX;
    if (unit < end && *unit == 'k')
        bytes <<= 10, unit++;
    else if (unit < end && *unit == 'm')
        bytes <<= 20, unit++;
    return unit == end || *unit == '?' ? bytes : SIZE_MAX;
}

/* False when the head is not complete yet. */
static bool head_parse(const char *in, size_t len, struct head *head)
{
    const char *end = memmem(in, len, "\r\n\r\n", 4);
    if (!end)
        return false;
    end += 4;
    *head = (struct head){ .len = (size_t)(end - in), .post = in[0] == 'P' };
    const char *line = memchr(in, '\n', head->len);
    const char *path = memchr(in, ' ', (size_t)(line - in));
    const char *path_end = path ? memchr(path + 1, ' ', (size_t)(line - path - 1)) : NULL;
    head->page_bytes = path_end ? path_bytes(path + 1, path_end) : SIZE_MAX;
    while (++line < end && *line != '\r') {
        if ((*line | 0x20) == 'c' && strncasecmp(line, "content-length:", 15) == 0)
            head->body_bytes = strtoull(line + 15, NULL, 10);
        else if ((*line | 0x20) == 'c' && strncasecmp(line, "connection: close", 17) == 0)
            head->close = true;
        else if ((*line | 0x20) == 's' && strncasecmp(line, "sec-websocket-key: ", 19) == 0)
            head->key = line + 19;
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return true;
}

/* ---- connections ---- */

static void peer_close(struct peer *p)
{
    close(p->fd);
    free(p->in);
    free(p);
}

static bool peer_is_sending(const struct peer *p)
{
    return p->out[0].iov_len + p->out[1].iov_len > 0;
}

/* The frame in hand goes back: its head without the mask, in front of the payload, which is unmasked where it is. */
static bool peer_echo(struct peer *p)
{
    const uint8_t *frame = (const uint8_t *)p->in;
    size_t head = websocket_head_bytes(frame, p->in_len);
    if (p->in_len < head)
        return true;
    uint64_t payload = websocket_payload_bytes(frame);
    if (!(frame[1] & WEBSOCKET_MASKED) || payload > REQUEST_MAX)
        return false;
    if (p->in_len < head + payload)
        return true;
    websocket_unmask(p->in + head, payload, p->in + head - WEBSOCKET_MASK);
    memmove(p->in + WEBSOCKET_MASK, p->in, head - WEBSOCKET_MASK);
    p->in[WEBSOCKET_MASK + 1] &= (char)~WEBSOCKET_MASKED;
    p->close = (p->in[WEBSOCKET_MASK] & WEBSOCKET_OPCODE) == WEBSOCKET_CLOSE;
    p->consumed = head + payload;
    p->out[0] = (struct iovec){ p->in + WEBSOCKET_MASK, p->consumed - WEBSOCKET_MASK };
    return true;
}

/* Begins the response where a request is complete; false when it is one that cannot be served. */
static bool peer_answer(struct peer *p)
{
    struct head head;
    if (p->in_len == 0)
        return true;
    if (p->switched)
        return peer_echo(p);
    if (!head_parse(p->in, p->in_len, &head))
        return p->in_len < REQUEST_MAX;
    if (head.body_bytes > REQUEST_MAX || (!head.post && !head.key && head.page_bytes > PAGE_MAX))
        return false;
    if (p->in_len < head.len + head.body_bytes)
        return true;
    p->consumed = head.len + head.body_bytes;
    p->close = head.close;
    if (head.key) {
        p->switched = true;
        p->out[0] = (struct iovec){ p->echo_head, websocket_write_answer(p->echo_head, HEAD_MAX, head.key) };
    } else if (head.post) {
        size_t len = response_head(p->echo_head, head.body_bytes);
        p->out[0] = (struct iovec){ p->echo_head, len };
        p->out[1] = (struct iovec){ p->in + head.len, head.body_bytes };
    } else {
        const struct page *page = page_find(head.page_bytes);
        p->out[0] = (struct iovec){ page->bytes, page->len };
    }
    return true;
}

static ssize_t peer_send(struct peer *p)
{
    if (p->out[1].iov_len == 0)
        return send(p->fd, p->out[0].iov_base, p->out[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = { .msg_iov = p->out, .msg_iovlen = 2 };
    return sendmsg(p->fd, &message, MSG_NOSIGNAL);
}

/* Sends what the socket takes, and forgets the request when all is out; false when the connection is of no more use. */
static bool peer_flush(struct peer *p)
{
    while (peer_is_sending(p)) {
        ssize_t n = peer_send(p);
        if (n < 0)
            return errno == EAGAIN;
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)n < p->out[i].iov_len ? (size_t)n : p->out[i].iov_len;
            p->out[i].iov_base = (char *)p->out[i].iov_base + part;
            p->out[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
    if (p->consumed == 0)
        return true;
    p->in_len -= p->consumed;
    memmove(p->in, p->in + p->consumed, p->in_len);
    p->consumed = 0;
    return !p->close;
}

/* Returns the room for a read, 0 when there can be none. */
static size_t peer_make_room(struct peer *p)
{
    if (p->in_room - p->in_len < READ_BYTES) {
        size_t room = p->in_room + p->in_len + READ_BYTES;
        char *in = realloc(p->in, room);
        if (!in)
            return 0;
        p->in = in;
        p->in_room = room;
    }
    return p->in_room - p->in_len;
}

/* Answers and reads until it must wait; false when the connection is of no more use. The socket is edge-triggered: a
 * read that fills its room is followed by another, as is any read when the peer has closed. */
static bool peer_run(struct peer *p, bool closed)
{
    bool drained = false;
    for (;;) {
        if (!peer_flush(p))
            return false;
        if (peer_is_sending(p))
            return true;
        if (!peer_answer(p))
            return false;
        if (peer_is_sending(p))
            continue;
        if (drained)
            return true;
        size_t room = peer_make_room(p);
        ssize_t n = recv(p->fd, p->in + p->in_len, room, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        p->in_len += (size_t)n;
        drained = (size_t)n < room && !closed;
    }
}

/* ---- the program ---- */

static int listener_open(int epoll)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("cannot listen: %s", strerror(errno));
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void listener_accept(int listener, int epoll)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int on = 1;
        struct peer *p = calloc(1, sizeof *p);
        if (!p)
            die("no memory for another connection");
        socket_set(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        p->fd = fd;
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = p };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl: %s", strerror(errno));
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("cannot accept: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    static const struct option names[] = { { "core", required_argument, NULL, 'k' }, { 0 } };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option != 'k')
            die("usage: upstream [--core N]");
        pin_to_core((int)parse_number("--core", optarg, 0, CPU_SETSIZE - 1));
    }
    raise_file_limit();
    wait_in_turn();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1: %s", strerror(errno));
    int listener = listener_open(epoll);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p)
                listener_accept(listener, epoll);
            else if (!peer_run(p, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                peer_close(p);
        }
    }
}
