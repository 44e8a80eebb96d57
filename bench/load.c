/* load: puts requests on an HTTP/1.1 server as fast as one thread can, checks every response and times it.
 *
 *   load [options] ADDRESS:PORT PATH
 *
 *   --mode keepalive     each connection sends its next request when the response is there (the default)
 *   --mode connect       a new connection for each request; no TLS session is resumed
 *   --mode idle          each connection sends one request and is then held open until standard input closes
 *   --tls                TLS 1.3
 *   --connections N      at the same time (64)
 *   --message BYTES      a WebSocket on each connection, and binary messages of that size instead of requests: each is
 *                        sent when the one before has come back; in idle mode one
 *   --body BYTES         POST a body of that size instead of GET; the same size is expected back
 *   --expect BYTES       the size of body that every response must have
 *   --status N           the status that every response must have (200)
 *   --targets FILE       lines of HOST and PATH, taken in turn, instead of PATH
 *   --sources N          connect from 127.0.0.1 to 127.0.0.N in turn, so that local ports do not run out (1)
 *   --seconds S          how long to count (2); 0: until standard input closes
 *   --requests N         count N requests instead, with no warm-up
 *   --warmup S           run so long before counting (0.5)
 *   --timeout S          give up when no response has come for so long (5)
 *   --core N             run on that core
 *   --watch PID,...      report the CPU time which these processes use while requests are counted
 *
 * Prints one line of JSON; in idle mode a line {"open": N} before it, when all connections are open.
 * Ends with status 1 and a reason on standard error where it cannot start. */
#include "cpu_time.h"
#include "histogram.h"
#include "machine.h"
#include "response.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (64 * 1024)          /* one read takes a small response whole */
#define DISCARD_BYTES (4 * 1024 * 1024) /* of a body, in one call */
#define EVENTS 256
#define OPENING_AT_ONCE 64              /* idle mode: more could overflow a listening queue */
#define ERRORS_MAX 1000                 /* enough to know that it does not work */

enum mode { MODE_KEEPALIVE, MODE_CONNECT, MODE_IDLE };
enum client_state { CLIENT_SENDING, CLIENT_RECEIVING, CLIENT_HELD };
enum outcome { OUTCOME_AGAIN, OUTCOME_DONE, OUTCOME_FAILED };

struct request {            /* as it goes over the wire */
    char *bytes;
    size_t len;
};

struct client {
    enum client_state state;
    int fd;
    SSL *tls;               /* NULL: plain */
    bool switched;          /* it is a WebSocket by now */
    const struct request *request;
    size_t sent;
    uint64_t started_ns;
    struct response response;
};

static struct options {
    enum mode mode;
    bool tls;
    int connections, sources, status;
    int64_t body_bytes, expect_bytes, message_bytes;    /* -1: not given */
    double seconds, warmup_s, timeout_s;
    uint64_t request_count;             /* 0: by time */
    const char *targets_file, *server, *path;
    struct cpu_time watch;
} options = {
    .connections = 64, .sources = 1, .status = 200, .body_bytes = -1, .expect_bytes = -1,
    .message_bytes = -1, .seconds = 2, .warmup_s = 0.5, .timeout_s = 5,
};

static struct run {
    int epoll;
    struct sockaddr_in server;
    SSL_CTX *tls;
    struct request *requests;           /* taken in turn */
    size_t request_kinds, next_request;
    struct request message;             /* a frame with one */
    unsigned next_source;
    struct client *clients;
    int opened, held;                   /* idle mode */
    bool stop;
    uint64_t now, progress_ns;          /* the last response */
    uint64_t started_ns, cpu_ns;        /* when counting began */
    uint64_t completed, errors;
    char first_error[160];
    struct histogram latency;
} run;

static char scratch[READ_BYTES];

static void error_count(const char *what, const char *detail)
{
    if (run.errors++ == 0)
        snprintf(run.first_error, sizeof run.first_error, "%s%s%s", what, detail ? ": " : "", detail ? detail : "");
    if (run.errors >= ERRORS_MAX)
        run.stop = true;
}

/* ---- requests ---- */

static void requests_add(const char *host, const char *path)
{
    if ((run.request_kinds & (run.request_kinds - 1)) == 0) {       /* room doubles at each power of two */
        size_t room = run.request_kinds ? run.request_kinds * 2 : 1;
        run.requests = realloc(run.requests, room * sizeof *run.requests);
    }
    size_t body = options.body_bytes > 0 ? (size_t)options.body_bytes : 0;
    size_t room = strlen(host) + strlen(path) + body + 256;
    char *bytes = run.requests ? malloc(room) : NULL;
    if (!bytes)
        die("no memory for requests");
    size_t len = (size_t)snprintf(bytes, room, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\nAccept: */*\r\n"
                                  "Accept-Encoding: gzip\r\n%s", options.body_bytes >= 0 ? "POST" : "GET", path, host,
                                  options.mode == MODE_CONNECT ? "Connection: close\r\n" : "");
    if (options.message_bytes >= 0)
        len += (size_t)snprintf(bytes + len, room - len, "%s", WEBSOCKET_OFFER);
    if (options.body_bytes >= 0)
        len += (size_t)snprintf(bytes + len, room - len, "Content-Length: %zu\r\n", body);
    len += (size_t)snprintf(bytes + len, room - len, "\r\n");
    memset(bytes + len, 'x', body);
    run.requests[run.request_kinds++] = (struct request){ bytes, len + body };
}

static void requests_read(const char *file_name)
{
    FILE *file = fopen(file_name, "re");
    if (!file)
        die("%s: %s", file_name, strerror(errno));
    char host[256], path[1024];
    while (fscanf(file, "%255s %1023s", host, path) == 2)
        requests_add(host, path);
    fclose(file);
    if (run.request_kinds == 0)
        die("%s: expected lines of HOST and PATH", file_name);
}

static void message_make(size_t len)
{
    run.message.bytes = malloc(WEBSOCKET_HEAD_MAX + len);
    if (!run.message.bytes)
        die("no memory for a message");
    size_t head = websocket_write_head(run.message.bytes, len);
    memset(run.message.bytes + head, 'x', len);         /* masked or not: nobody looks at it */
    run.message.len = head + len;
}

/* ---- one connection ---- */

static int socket_open(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        die("cannot open another connection: %s", strerror(errno));
    if (options.mode == MODE_CONNECT) {
        /* Closing is then a reset: no port is left in TIME_WAIT, which would slow down whatever is measured next. */
        const struct linger reset = { .l_onoff = 1 };
        socket_set(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if (options.mode != MODE_CONNECT || options.tls)
        socket_set(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.sources > 1) {
        struct sockaddr_in source = { .sin_family = AF_INET };
        source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + run.next_source++ % (unsigned)options.sources);
        socket_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0)
            die("cannot connect from another loopback address: %s", strerror(errno));
    }
    return fd;
}

/* Registered once for everything, edge-triggered: no epoll_ctl per request. */
static void client_connect(struct client *c)
{
    c->fd = socket_open();
    if (connect(c->fd, (struct sockaddr *)&run.server, sizeof run.server) != 0 && errno != EINPROGRESS)
        die("cannot connect to %s: %s", options.server, strerror(errno));
    if (options.tls) {
        c->tls = SSL_new(run.tls);
        if (!c->tls || SSL_set_fd(c->tls, c->fd) != 1)
            die("no memory for another TLS connection");
        SSL_set_connect_state(c->tls);
    }
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void client_close(struct client *c)
{
    SSL_free(c->tls);
    c->tls = NULL;
    c->switched = false;
    close(c->fd);
}

static void client_start(struct client *c)
{
    c->sent = 0;
    c->started_ns = run.now;
    if (c->switched) {
        c->request = &run.message;
        response_expect_message(&c->response);
    } else {
        c->request = &run.requests[run.next_request];
        run.next_request = run.next_request + 1 == run.request_kinds ? 0 : run.next_request + 1;
        response_reset(&c->response);
    }
    c->state = CLIENT_SENDING;
}

static enum outcome tls_outcome(struct client *c, int result, const char *what)
{
    int error = SSL_get_error(c->tls, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return OUTCOME_AGAIN;
    unsigned long code = ERR_get_error();
    error_count(what, code ? ERR_reason_error_string(code) : "connection closed");
    ERR_clear_error();
    return OUTCOME_FAILED;
}

/* On a connection that is still being made a send would block, as on a full one; SSL_write makes the handshake too. */
static enum outcome client_send(struct client *c)
{
    while (c->sent < c->request->len) {
        const char *bytes = c->request->bytes + c->sent;
        size_t len = c->request->len - c->sent;
        ssize_t n = c->tls ? SSL_write(c->tls, bytes, (int)len) : send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0 && c->tls)
            return tls_outcome(c, (int)n, "TLS send");
        if (n < 0 && errno == EAGAIN)
            return OUTCOME_AGAIN;
        if (n < 0) {
            error_count("send", strerror(errno));
            return OUTCOME_FAILED;
        }
        c->sent += (size_t)n;
    }
    return OUTCOME_DONE;
}

/* *n is the number of bytes read, 0 at the end of the stream. */
static enum outcome client_read(struct client *c, bool discard, size_t *n)
{
    ssize_t got;
    if (c->tls) {
        got = SSL_read(c->tls, scratch, sizeof scratch);
        if (got <= 0 && SSL_get_error(c->tls, (int)got) != SSL_ERROR_ZERO_RETURN)
            return tls_outcome(c, (int)got, "TLS receive");
    } else if (discard) {                   /* dropped inside the kernel, not copied: tcp(7), MSG_TRUNC */
        uint64_t left = c->response.left;
        got = recv(c->fd, NULL, left < DISCARD_BYTES ? left : DISCARD_BYTES, MSG_TRUNC);
    } else {
        got = recv(c->fd, scratch, sizeof scratch, 0);
    }
    if (got < 0 && errno == EAGAIN)
        return OUTCOME_AGAIN;
    if (got < 0) {
        error_count("receive", strerror(errno));
        return OUTCOME_FAILED;
    }
    *n = (size_t)got;
    return OUTCOME_DONE;
}

static enum outcome client_receive(struct client *c)
{
    struct response *r = &c->response;
    while (r->state != RESPONSE_DONE) {
        size_t n = 0;
        bool discard = !c->tls && r->state == RESPONSE_BODY;
        enum outcome outcome = client_read(c, discard, &n);
        if (outcome != OUTCOME_DONE)
            return outcome;
        if (n == 0) {
            error_count("the server closed before the end of the response", NULL);
            return OUTCOME_FAILED;
        }
        if (discard) {
            response_skip(r, n);
        } else if (response_take(r, scratch, n) < n || r->state == RESPONSE_BROKEN) {
            error_count("a response without a length, or bytes after its end", NULL);
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_DONE;
}

static bool client_is_answered(const struct client *c)
{
    const struct response *r = &c->response;
    int64_t expected = c->switched ? options.message_bytes : options.expect_bytes;
    char found[64];
    if (r->status != options.status) {
        snprintf(found, sizeof found, "%d, found %d", options.status, r->status);
        error_count("expected status", found);
        return false;
    }
    if (expected >= 0 && r->body_bytes != (uint64_t)expected) {
        snprintf(found, sizeof found, "%llu bytes", (unsigned long long)r->body_bytes);
        error_count("unexpected size of body", found);
        return false;
    }
    return true;
}

static void client_open(struct client *c);

static void client_hold(struct client *c)
{
    c->state = CLIENT_HELD;
    if (c->response.close)
        error_count("the server does not keep the connection", NULL);
    if (++run.held == options.connections) {
        printf("{\"open\": %d}\n", run.held);
        fflush(stdout);
    }
    if (run.opened < options.connections)
        client_open(&run.clients[run.opened++]);
}

static void client_finish(struct client *c)
{
    run.now = run.progress_ns = now_ns();
    bool opening = options.message_bytes >= 0 && !c->switched;     /* a WebSocket, which counts for nothing yet */
    bool good = client_is_answered(c);
    if (good && !opening) {
        run.completed++;
        histogram_add(&run.latency, run.now - c->started_ns);
    }
    c->switched = c->switched || (opening && good);
    if (options.request_count && run.completed + run.errors >= options.request_count)
        run.stop = true;
    if (options.mode == MODE_IDLE && !opening) {
        client_hold(c);
        return;
    }
    if (options.mode == MODE_CONNECT || c->response.close) {
        client_close(c);
        client_connect(c);
    }
    client_start(c);
}

static void client_fail(struct client *c)
{
    if (options.mode == MODE_IDLE)
        run.stop = true;
    client_close(c);
    client_connect(c);
    client_start(c);
}

/* A connection that is held has nothing to say, except for TLS session tickets, which SSL_read takes in silence. */
static void client_check_held(struct client *c)
{
    size_t n = 0;
    enum outcome outcome = client_read(c, false, &n);
    if (outcome == OUTCOME_AGAIN)
        return;
    if (outcome == OUTCOME_DONE)
        error_count(n ? "bytes on an idle connection" : "the server closed an idle connection", NULL);
    if (epoll_ctl(run.epoll, EPOLL_CTL_DEL, c->fd, NULL) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* Goes on until it must wait. After a send it waits without asking: the response cannot be there yet. */
static void client_run(struct client *c, uint32_t events)
{
    if (c->state == CLIENT_RECEIVING && (events & ~(uint32_t)EPOLLOUT)) {
        switch (client_receive(c)) {
        case OUTCOME_AGAIN:  return;
        case OUTCOME_DONE:   client_finish(c); break;
        case OUTCOME_FAILED: client_fail(c); break;
        }
    } else if (c->state == CLIENT_HELD) {
        client_check_held(c);
    }
    while (c->state == CLIENT_SENDING && !run.stop) {
        switch (client_send(c)) {
        case OUTCOME_AGAIN:  return;
        case OUTCOME_DONE:   c->state = CLIENT_RECEIVING; break;
        case OUTCOME_FAILED: client_fail(c); break;
        }
    }
}

static void client_open(struct client *c)
{
    client_connect(c);
    client_start(c);
    client_run(c, 0);
}

/* ---- all of them ---- */

static bool ends_with_input(void)
{
    return options.mode == MODE_IDLE || (options.seconds == 0 && options.request_count == 0);
}

static void run_until(uint64_t end_ns)
{
    struct epoll_event events[EVENTS];
    while (!run.stop && run.now < end_ns) {
        int n = epoll_wait(run.epoll, events, EVENTS, 100);
        run.now = now_ns();
        for (int i = 0; i < n && !run.stop; i++) {
            if (events[i].data.ptr)
                client_run(events[i].data.ptr, events[i].events);
            else
                run.stop = true;            /* standard input */
        }
        bool waiting = options.mode != MODE_IDLE || run.held < options.connections;
        if (waiting && !run.stop && run.now - run.progress_ns > (uint64_t)(options.timeout_s * (double)NS_PER_S)) {
            error_count("no response within the time limit", NULL);
            run.stop = true;
        }
    }
}

static void count_from_here(void)
{
    run.completed = 0;
    memset(&run.latency, 0, sizeof run.latency);
    run.cpu_ns = cpu_time_read(&options.watch);
    run.started_ns = run.now = now_ns();
}

/* A connection whose request is older than the time that was counted hangs, though others go on. */
static void count_stalled(void)
{
    for (int i = 0; i < run.opened; i++)
        if (run.clients[i].state != CLIENT_HELD && run.clients[i].started_ns < run.started_ns)
            error_count("a connection got no response", NULL);
}

static void report(void)
{
    double seconds = (double)(run.now - run.started_ns) / (double)NS_PER_S;
    double cpu_us = (double)(cpu_time_read(&options.watch) - run.cpu_ns) / 1000;
    if (!run.stop)
        count_stalled();
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"rps\": %.1f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"p999_us\": %.1f",
           (unsigned long long)run.completed, (unsigned long long)run.errors, seconds,
           seconds > 0 ? (double)run.completed / seconds : 0, histogram_quantile(&run.latency, 0.5) / 1000,
           histogram_quantile(&run.latency, 0.99) / 1000, histogram_quantile(&run.latency, 0.999) / 1000);
    if (options.watch.processes)
        printf(", \"cpu_us\": %.1f", cpu_us);
    if (run.errors)
        printf(", \"first_error\": \"%s\"", run.first_error);
    printf("}\n");
}

/* ---- setting up ---- */

/* The certificate is our own, and looking for its issuer is work that no server pays for. */
static int certificate_accept(X509_STORE_CTX *store, void *unused)
{
    (void)store;
    (void)unused;
    return 1;
}

static void tls_init(void)
{
    run.tls = SSL_CTX_new(TLS_client_method());
    /* One cipher and one group, so that every server does the same work. */
    if (!run.tls || !SSL_CTX_set_min_proto_version(run.tls, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(run.tls, "TLS_AES_256_GCM_SHA384") || !SSL_CTX_set1_groups_list(run.tls, "X25519"))
        die("cannot set up TLS 1.3");
    SSL_CTX_set_cert_verify_callback(run.tls, certificate_accept, NULL);
    SSL_CTX_set_session_cache_mode(run.tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_quiet_shutdown(run.tls, 1);
    SSL_CTX_set_read_ahead(run.tls, 1);                 /* a record in one read instead of two */
    SSL_CTX_set_mode(run.tls, SSL_MODE_ENABLE_PARTIAL_WRITE);
    if (options.mode == MODE_IDLE)
        SSL_CTX_set_mode(run.tls, SSL_MODE_RELEASE_BUFFERS);
}

static void server_parse(const char *server)
{
    char address[64];
    const char *colon = strrchr(server, ':');
    run.server.sin_family = AF_INET;
    if (colon)
        snprintf(address, sizeof address, "%.*s", (int)(colon - server), server);
    if (!colon || inet_pton(AF_INET, address, &run.server.sin_addr) != 1)
        die("expected an IPv4 ADDRESS:PORT, found %s", server);
    run.server.sin_port = htons((uint16_t)parse_number("port", colon + 1, 1, 65535));
}

static enum mode mode_parse(const char *name)
{
    if (strcmp(name, "keepalive") == 0)
        return MODE_KEEPALIVE;
    if (strcmp(name, "connect") == 0)
        return MODE_CONNECT;
    if (strcmp(name, "idle") == 0)
        return MODE_IDLE;
    die("--mode: expected keepalive, connect or idle, found %s", name);
}

static void options_parse(int argc, char **argv)
{
    static const struct option names[] = {
        { "mode", required_argument, NULL, 'm' },     { "tls", no_argument, NULL, 't' },
        { "connections", required_argument, NULL, 'c' }, { "body", required_argument, NULL, 'b' },
        { "expect", required_argument, NULL, 'e' },   { "targets", required_argument, NULL, 'f' },
        { "sources", required_argument, NULL, 'a' },  { "seconds", required_argument, NULL, 's' },
        { "requests", required_argument, NULL, 'n' }, { "warmup", required_argument, NULL, 'w' },
        { "timeout", required_argument, NULL, 'o' },  { "message", required_argument, NULL, 'g' },
        { "core", required_argument, NULL, 'k' },     { "watch", required_argument, NULL, 'p' },
        { "status", required_argument, NULL, 'u' },   { 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'm': options.mode = mode_parse(optarg); break;
        case 't': options.tls = true; break;
        case 'c': options.connections = (int)parse_number("--connections", optarg, 1, 1e6); break;
        case 'b': options.body_bytes = (int64_t)parse_number("--body", optarg, 0, 1e9); break;
        case 'e': options.expect_bytes = (int64_t)parse_number("--expect", optarg, 0, 1e12); break;
        case 'g': options.message_bytes = (int64_t)parse_number("--message", optarg, 0, 1e9); break;
        case 'f': options.targets_file = optarg; break;
        case 'a': options.sources = (int)parse_number("--sources", optarg, 1, 250); break;
        case 's': options.seconds = parse_number("--seconds", optarg, 0, 1e6); break;
        case 'n': options.request_count = (uint64_t)parse_number("--requests", optarg, 1, 1e12); break;
        case 'w': options.warmup_s = parse_number("--warmup", optarg, 0, 1e6); break;
        case 'o': options.timeout_s = parse_number("--timeout", optarg, 0, 1e6); break;
        case 'k': pin_to_core((int)parse_number("--core", optarg, 0, CPU_SETSIZE - 1)); break;
        case 'p': cpu_time_parse(&options.watch, optarg); break;
        case 'u': options.status = (int)parse_number("--status", optarg, 100, 599); break;
        default: die("usage: load [options] ADDRESS:PORT PATH");
        }
    }
    if (argc - optind != (options.targets_file ? 1 : 2))
        die("usage: load [options] ADDRESS:PORT PATH (no PATH with --targets)");
    options.server = argv[optind];
    options.path = argv[optind + 1];
    if (options.expect_bytes < 0)
        options.expect_bytes = options.body_bytes;
    if (options.message_bytes >= 0 && (options.mode == MODE_CONNECT || options.body_bytes >= 0))
        die("--message: not with --body or --mode connect");
    if (options.message_bytes >= 0)
        options.status = 101;
}

int main(int argc, char **argv)
{
    options_parse(argc, argv);
    raise_file_limit();
    wait_in_turn();
    server_parse(options.server);
    if (options.tls)
        tls_init();
    if (options.targets_file)
        requests_read(options.targets_file);
    else
        requests_add(options.server, options.path);
    if (options.message_bytes >= 0)
        message_make((size_t)options.message_bytes);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.clients = calloc((size_t)options.connections, sizeof *run.clients);
    if (run.epoll < 0 || !run.clients)
        die("no memory for %d connections", options.connections);
    struct epoll_event input = { .events = EPOLLIN | EPOLLHUP, .data.ptr = NULL };
    if (ends_with_input() && epoll_ctl(run.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0)
        die("--mode idle, --seconds 0: standard input must be a pipe or a terminal");

    run.now = run.progress_ns = now_ns();
    count_from_here();
    int at_once = options.mode == MODE_IDLE ? OPENING_AT_ONCE : options.connections;
    while (run.opened < at_once && run.opened < options.connections)
        client_open(&run.clients[run.opened++]);
    if (options.request_count || ends_with_input()) {
        run_until(UINT64_MAX);
    } else {
        run_until(run.now + (uint64_t)(options.warmup_s * (double)NS_PER_S));
        count_from_here();
        run_until(run.now + (uint64_t)(options.seconds * (double)NS_PER_S));
    }
    report();
    return 0;
}
