/* The client of the benchmark: one thread, epoll, BoringSSL over buffers of its own, so that it costs less than what it
 * measures. TLS 1.3, TLS_AES_128_GCM_SHA256 and X25519 only: anything else that is negotiated is an error.
 *
 *   load keepalive PORT PATH CONNECTIONS SECONDS     requests one after the other on each connection
 *   load full      PORT PATH CONNECTIONS SECONDS     a connection and full handshake for each request
 *   load resumed   PORT PATH CONNECTIONS SECONDS     the same, resumed by ticket (psk_dhe_ke)
 *   load idle      PORT PATH CONNECTIONS 0           one request on each, then idle until stdin ends
 *
 * "measuring" is printed when the warm-up is over, or all connections are idle; then one line with
 * requests=N errors=N seconds=S bytes=N p50_us=N p99_us=N. */
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SERVER_NAME "bench.example"

enum {
    RECEIVE_BYTES = 256 * 1024,
    SEND_BYTES = 16 * 1024,
    NUM_EVENTS = 256,
    WARM_UP_US = 150 * 1000,
    NUM_BUCKETS = 20000, /* of latency, 10 us each; the last takes the rest */
    BUCKET_US = 10,
    IDLE_AT_ONCE = 32, /* connections that an idle run opens at a time */
    HEAD_BYTES = 8192,
};

enum mode { MODE_KEEPALIVE, MODE_FULL, MODE_RESUMED, MODE_IDLE };

/* What the BIO of the connection at work reads and writes: emptied before another one's turn. */
struct io {
    char in[RECEIVE_BYTES], out[SEND_BYTES];
    size_t in_at, in_len, out_len;
    bool in_asked; /* the socket has been read in this turn */
    bool ended;
    int fd;
};

struct load {
    enum mode mode;
    int epoll;
    struct sockaddr_in to;
    char request[512];
    int request_len;
    struct io io;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    SSL_SESSION *session; /* the newest */
    bool measuring;
    uint64_t num_requests, num_errors, num_bytes;
    int num_idle, num_open, num_wanted;
    uint32_t *buckets;
    char scratch[64 * 1024];
};

struct conn {
    struct load *load;
    SSL *ssl;
    int fd;
    bool handshaken, idle;
    int64_t started_us;
    char head[HEAD_BYTES];
    size_t head_len;
    uint64_t left; /* of the body */
    bool in_body;
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- BIO --- */

static int io_fill(struct io *io, BIO *bio)
{
    if (io->in_asked) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n = recv(io->fd, io->in, sizeof io->in, 0);
    io->in_asked = true; /* one call a turn: epoll is level-triggered */
    if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (n <= 0) {
        io->ended = true;
        return 0;
    }
    io->in_at = 0;
    io->in_len = (size_t)n;
    return 1;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (io->in_at == io->in_len) {
        int filled = io_fill(io, bio);
        if (filled <= 0)
            return filled;
    }
    size_t n = io->in_len - io->in_at < (size_t)len ? io->in_len - io->in_at : (size_t)len;
    memcpy(out, io->in + io->in_at, n);
    io->in_at += n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if ((size_t)len > sizeof io->out - io->out_len)
        return -1;
    memcpy(io->out + io->out_len, bytes, (size_t)len);
    io->out_len += (size_t)len;
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static void io_begin(struct io *io, int fd)
{
    io->fd = fd;
    io->in_at = io->in_len = io->out_len = 0;
    io->in_asked = io->ended = false;
}

/* Requests are small: what the socket refuses is an error, not a queue. */
static bool io_flush(struct io *io)
{
    if (io->out_len == 0)
        return true;
    ssize_t n = send(io->fd, io->out, io->out_len, MSG_NOSIGNAL);
    bool ok = n == (ssize_t)io->out_len;
    io->out_len = 0;
    return ok;
}

/* --- connections --- */

static void conn_open(struct load *load, struct conn *conn);

static void conn_close(struct conn *conn)
{
    if (conn->ssl)
        SSL_free(conn->ssl);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->ssl = NULL;
    conn->fd = -1;
}

static void conn_fail(struct conn *conn, const char *what)
{
    struct load *load = conn->load;
    if (load->num_errors++ == 0)
        fprintf(stderr, "load: the first error: %s\n", what);
    if (load->num_errors > 1000)
        exit(1); /* nothing that is worth measuring */
    conn_close(conn);
    conn_open(load, conn);
}

static void conn_watch(struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(conn->load->epoll, operation, conn->fd, &event) != 0)
        die("epoll_ctl");
}

static void conn_make_ssl(struct load *load, struct conn *conn)
{
    BIO *bio = BIO_new(load->method);
    conn->ssl = SSL_new(load->ctx);
    if (!bio || !conn->ssl)
        die("out of memory");
    BIO_set_data(bio, &load->io);
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_connect_state(conn->ssl);
    SSL_set_tlsext_host_name(conn->ssl, SERVER_NAME);
    if (load->mode == MODE_RESUMED && load->session)
        SSL_set_session(conn->ssl, load->session);
}

static void conn_open(struct load *load, struct conn *conn)
{
    int on = 1;
    *conn = (struct conn){.load = load, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (conn->fd < 0)
        die("socket");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->started_us = now_us();
    if (connect(conn->fd, (struct sockaddr *)&load->to, sizeof load->to) != 0 && errno != EINPROGRESS)
        die("connect");
    conn_make_ssl(load, conn);
    conn_watch(conn, EPOLL_CTL_ADD, EPOLLOUT);
}

static bool conn_request(struct conn *conn)
{
    struct load *load = conn->load;
    conn->head_len = 0;
    conn->in_body = false;
    if (conn->handshaken && load->mode == MODE_KEEPALIVE)
        conn->started_us = now_us();
    return SSL_write(conn->ssl, load->request, load->request_len) == load->request_len;
}

static const char *handshake_fault(const struct conn *conn)
{
    const struct load *load = conn->load;
    if (SSL_version(conn->ssl) != TLS1_3_VERSION)
        return "not TLS 1.3";
    if (SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(conn->ssl)) != 0x1301)
        return "not TLS_AES_128_GCM_SHA256";
    if (SSL_get_curve_id(conn->ssl) != SSL_CURVE_X25519)
        return "not X25519";
    bool resumed = SSL_session_reused(conn->ssl) != 0;
    if (load->mode == MODE_RESUMED && load->measuring && !resumed)
        return "not resumed";
    return load->mode != MODE_RESUMED && resumed ? "resumed" : NULL;
}

static bool head_parse(struct conn *conn, size_t *out_head_len)
{
    const char *end = memmem(conn->head, conn->head_len, "\r\n\r\n", 4);
    if (!end)
        return false;
    *out_head_len = (size_t)(end - conn->head) + 4;
    conn->head[*out_head_len - 1] = '\0';
    const char *length = strcasestr(conn->head, "\r\ncontent-length:");
    conn->left = length ? strtoull(length + 17, NULL, 10) : UINT64_MAX;
    return true;
}

static void count_request(struct load *load, const struct conn *conn)
{
    if (!load->measuring)
        return;
    int64_t bucket = (now_us() - conn->started_us) / BUCKET_US;
    load->buckets[bucket < NUM_BUCKETS ? bucket : NUM_BUCKETS - 1]++;
    load->num_requests++;
}

/* Takes plaintext; true when the answer is complete. *out_fault is a message for what is no answer. */
static bool conn_take(struct conn *conn, const char *bytes, size_t len, const char **out_fault)
{
    conn->load->num_bytes += len;
    if (!conn->in_body) {
        size_t head_len, kept = conn->head_len;
        size_t n = len < HEAD_BYTES - 1 - kept ? len : HEAD_BYTES - 1 - kept;
        memcpy(conn->head + kept, bytes, n);
        conn->head_len += n;
        if (!head_parse(conn, &head_len)) {
            *out_fault = conn->head_len == HEAD_BYTES - 1 ? "no end of the head" : NULL;
            return false;
        }
        if (memcmp(conn->head, "HTTP/1.1 200 ", 13) != 0 || conn->left == UINT64_MAX)
            *out_fault = "not a 200 with a length";
        conn->in_body = true;
        bytes += head_len - kept;
        len -= head_len - kept;
    }
    if (len > conn->left)
        *out_fault = "more than the answer";
    conn->left -= len < conn->left ? len : conn->left;
    return conn->left == 0;
}

/* The answer is complete: what comes next on this connection; false if it was closed. */
static bool conn_next(struct conn *conn)
{
    struct load *load = conn->load;
    count_request(load, conn);
    switch (load->mode) {
    case MODE_KEEPALIVE: return conn_request(conn);
    case MODE_IDLE:
        conn->idle = true;
        load->num_idle++;
        return true;
    case MODE_FULL:
    case MODE_RESUMED: break;
    }
    SSL_shutdown(conn->ssl);
    io_flush(&load->io);
    conn_close(conn);
    conn_open(load, conn);
    return false;
}

static void conn_read(struct conn *conn)
{
    struct load *load = conn->load;
    for (;;) {
        const char *fault = NULL;
        int n = SSL_read(conn->ssl, load->scratch, sizeof load->scratch);
        if (n <= 0 && SSL_get_error(conn->ssl, n) == SSL_ERROR_WANT_READ)
            break;
        if (n <= 0 || conn->idle) {
            conn_fail(conn, conn->idle ? "an idle connection was closed" : "closed within an answer");
            return;
        }
        bool complete = conn_take(conn, load->scratch, (size_t)n, &fault);
        if (fault) {
            conn_fail(conn, fault);
            return;
        }
        if (complete && !conn_next(conn))
            return;
    }
    if (!io_flush(&load->io))
        conn_fail(conn, "the socket is full");
}

static bool conn_handshake(struct conn *conn)
{
    struct load *load = conn->load;
    int n = SSL_do_handshake(conn->ssl);
    if (n != 1 && SSL_get_error(conn->ssl, n) != SSL_ERROR_WANT_READ) {
        conn_fail(conn, "handshake failed");
        return false;
    }
    if (n == 1) {
        const char *fault = handshake_fault(conn);
        if (fault || !conn_request(conn)) {
            conn_fail(conn, fault ? fault : "no room for the request");
            return false;
        }
        conn->handshaken = true;
    }
    if (!io_flush(&load->io)) {
        conn_fail(conn, "the socket is full");
        return false;
    }
    return n == 1;
}

static void on_event(struct conn *conn, uint32_t events)
{
    struct load *load = conn->load;
    io_begin(&load->io, conn->fd);
    if (!conn->handshaken && events & EPOLLOUT) {
        conn_watch(conn, EPOLL_CTL_MOD, EPOLLIN);
        load->io.in_asked = true; /* nothing can have come before the ClientHello */
    }
    if (conn->handshaken || conn_handshake(conn))
        conn_read(conn);
}

/* --- the run --- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct load *load = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(load->session);
    load->session = session;
    return 1;
}

static void load_init_tls(struct load *load)
{
    static const int curves[] = {NID_X25519};
    load->ctx = SSL_CTX_new(TLS_method());
    load->method = BIO_meth_new(0, "socket");
    if (!load->ctx || !load->method || !BIO_meth_set_read(load->method, bio_read) ||
        !BIO_meth_set_write(load->method, bio_write) || !BIO_meth_set_ctrl(load->method, bio_ctrl) ||
        !BIO_meth_set_create(load->method, bio_create) || !SSL_CTX_set_min_proto_version(load->ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set1_curves(load->ctx, curves, 1))
        die("setting up TLS");
    SSL_CTX_set_app_data(load->ctx, load);
    SSL_CTX_set_verify(load->ctx, SSL_VERIFY_NONE, NULL); /* the signature is checked, the self-made chain is not */
    SSL_CTX_set_session_cache_mode(load->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(load->ctx, on_session);
}

static void load_turn(struct load *load, int timeout_ms)
{
    struct epoll_event events[NUM_EVENTS];
    int num = epoll_wait(load->epoll, events, NUM_EVENTS, timeout_ms);
    for (int i = 0; i < num; i++)
        on_event(events[i].data.ptr, events[i].events);
}

static void load_until(struct load *load, int64_t end_us)
{
    while (now_us() < end_us)
        load_turn(load, 10);
}

static uint64_t percentile_us(const struct load *load, uint64_t percent)
{
    uint64_t rank = load->num_requests * percent / 100, sum = 0;
    for (int i = 0; i < NUM_BUCKETS; i++) {
        sum += load->buckets[i];
        if (sum > rank)
            return (uint64_t)(i + 1) * BUCKET_US;
    }
    return 0;
}

static void load_run(struct load *load, struct conn *conns, double seconds)
{
    for (int i = 0; i < load->num_wanted; i++)
        conn_open(load, &conns[i]);
    load_until(load, now_us() + WARM_UP_US);
    load->num_bytes = 0;
    load->measuring = true;
    puts("measuring");
    fflush(stdout);
    int64_t start_us = now_us();
    load_until(load, start_us + (int64_t)(seconds * 1e6));
    double elapsed = (double)(now_us() - start_us) / 1e6;
    printf("requests=%" PRIu64 " errors=%" PRIu64 " seconds=%.6f bytes=%" PRIu64 " p50_us=%" PRIu64 " p99_us=%" PRIu64
           "\n",
           load->num_requests, load->num_errors, elapsed, load->num_bytes, percentile_us(load, 50),
           percentile_us(load, 99));
}

static void load_idle(struct load *load, struct conn *conns)
{
    int64_t end_us = now_us() + 60 * INT64_C(1000000);
    while (load->num_idle < load->num_wanted && load->num_errors == 0 && now_us() < end_us) {
        while (load->num_open < load->num_wanted && load->num_open - load->num_idle < IDLE_AT_ONCE)
            conn_open(load, &conns[load->num_open++]);
        load_turn(load, 10);
    }
    if (load->num_idle < load->num_wanted) {
        fprintf(stderr, "load: %d of %d connections came to be idle\n", load->num_idle, load->num_wanted);
        exit(1);
    }
    puts("measuring");
    fflush(stdout);
    if (getchar() != EOF)
        return;
    load_turn(load, 0);
    printf("requests=%d errors=%" PRIu64 "\n", load->num_idle, load->num_errors);
}

static bool mode_parse(const char *text, enum mode *out)
{
    static const char *const names[] = {"keepalive", "full", "resumed", "idle"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum mode)i;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    struct load *load = calloc(1, sizeof *load);
    if (argc != 6 || !load || !mode_parse(argv[1], &load->mode)) {
        fprintf(stderr, "usage: load keepalive|full|resumed|idle PORT PATH CONNECTIONS SECONDS\n");
        return 2;
    }
    load->to = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    load->request_len =
        snprintf(load->request, sizeof load->request,
                 "GET %s HTTP/1.1\r\nHost: " SERVER_NAME "\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n", argv[3]);
    load->num_wanted = atoi(argv[4]);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->buckets = calloc(NUM_BUCKETS, sizeof *load->buckets);
    struct conn *conns = calloc((size_t)load->num_wanted + 1, sizeof *conns);
    if (load->epoll < 0 || !load->buckets || !conns)
        die("setting up");
    load_init_tls(load);
    if (load->mode == MODE_IDLE)
        load_idle(load, conns);
    else
        load_run(load, conns, atof(argv[5]));
    return load->num_errors ? 1 : 0;
}
