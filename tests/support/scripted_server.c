#include "scripted_server.h"

#include "base/limits.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUST(expression)                                                  \
    do {                                                                  \
        if (!(expression)) {                                              \
            fprintf(stderr, "scripted_server: %s failed\n", #expression); \
            abort();                                                      \
        }                                                                 \
    } while (0)

struct server_conn {
    struct server *server;
    int fd;
    SSL *ssl;
    char in[64 * 1024];
    size_t len;
    unsigned num_requests;
};

static bool conn_put(struct server_conn *conn, const void *bytes, size_t len)
{
    while (len > 0) {
        int part = len > 16384 ? 16384 : (int)len;
        ssize_t put = conn->ssl ? SSL_write(conn->ssl, bytes, part) : send(conn->fd, bytes, (size_t)part, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        bytes = (const char *)bytes + put;
        len -= (size_t)put;
    }
    return true;
}

static bool conn_say(struct server_conn *conn, const char *text)
{
    return conn_put(conn, text, strlen(text));
}

static bool conn_fill(struct server_conn *conn)
{
    size_t room = sizeof conn->in - 1 - conn->len;
    ssize_t got =
        conn->ssl ? SSL_read(conn->ssl, conn->in + conn->len, (int)room) : read(conn->fd, conn->in + conn->len, room);
    if (got <= 0)
        return false;
    conn->len += (size_t)got;
    conn->in[conn->len] = '\0';
    return true;
}

static bool conn_put_zeroes(struct server_conn *conn, size_t len)
{
    static const char zeroes[8192];
    for (; len > sizeof zeroes; len -= sizeof zeroes)
        if (!conn_put(conn, zeroes, sizeof zeroes))
            return false;
    return conn_put(conn, zeroes, len);
}

static bool conn_answer_big(struct server_conn *conn, size_t len)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    return conn_say(conn, head) && conn_put_zeroes(conn, len);
}

static bool conn_answer_chunked(struct server_conn *conn, size_t len)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
    return conn_say(conn, head) && conn_put_zeroes(conn, len) && conn_say(conn, "\r\n0\r\n\r\n");
}

/* The request line, the fields and the body back as the body. */
static bool conn_echo(struct server_conn *conn, size_t len, bool head_only)
{
    char head[256];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nReplay-Nonce: abc\r\nLink: <a>;rel=\"x\"\r\nLink: <b>;rel=\"y\"\r\n"
             "Location: /else\r\nContent-Length: %zu\r\n\r\n",
             len);
    return conn_say(conn, head) && (head_only || conn_put(conn, conn->in, len));
}

static void conn_wait_for_end(struct server_conn *conn)
{
    conn->len = 0;
    while (conn_fill(conn))
        conn->len = 0;
}

static bool path_is(const char *request, const char *path)
{
    const char *blank = strchr(request, ' ');
    return blank && strncmp(blank + 1, path, strlen(path)) == 0 && blank[1 + strlen(path)] == ' ';
}

static bool conn_answer(struct server_conn *conn, size_t len)
{
    const char *request = conn->in;
    if (path_is(request, "/big"))
        return conn_answer_big(conn, LIMIT_ACME_BODY_BYTES + 1);
    if (path_is(request, "/exact"))
        return conn_answer_big(conn, LIMIT_ACME_BODY_BYTES);
    if (path_is(request, "/big-chunked"))
        return conn_answer_chunked(conn, LIMIT_ACME_BODY_BYTES + 1);
    if (path_is(request, "/cut"))
        return conn_say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this") && false;
    if (path_is(request, "/until-close"))
        return conn_say(conn, "HTTP/1.1 200 OK\r\n\r\nall of it") && false;
    if (path_is(request, "/nonsense"))
        return conn_say(conn, "SSH-2.0-server\r\n\r\n");
    if (path_is(request, "/redirect"))
        return conn_say(conn, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
    if (path_is(request, "/interim"))
        return conn_say(conn, "HTTP/1.1 103 Early Hints\r\nLink: <c>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    if (path_is(request, "/silent")) {
        conn_wait_for_end(conn);
        return false;
    }
    if (path_is(request, "/once") && conn->num_requests > 1) /* the second request on a connection finds it dying */
        return false;
    if (path_is(request, "/dies") || path_is(request, "/never"))
        return conn->num_requests == 1 && path_is(request, "/dies") && conn_echo(conn, len, false);
    if (path_is(request, "/slow"))
        usleep(30000);
    return conn_echo(conn, len, strncmp(request, "HEAD", 4) == 0);
}

static size_t conn_body_len(const char *head)
{
    const char *field = strstr(head, "Content-Length: ");
    return field ? strtoul(field + 16, NULL, 10) : 0;
}

static bool conn_serve_one(struct server_conn *conn)
{
    char *end;
    while (!(end = strstr(conn->in, "\r\n\r\n"))) {
        if (!conn_fill(conn))
            return false;
        if (conn->in[0] < 'A')
            return conn_say(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") && false;
    }
    size_t len = (size_t)(end + 4 - conn->in) + conn_body_len(conn->in);
    while (conn->len < len)
        if (!conn_fill(conn))
            return false;
    struct server *server = conn->server;
    unsigned busy = atomic_fetch_add(&server->num_busy, 1) + 1;
    if (busy > atomic_load(&server->max_busy))
        atomic_store(&server->max_busy, busy);
    conn->num_requests++;
    atomic_fetch_add(&server->num_requests, 1);
    bool go_on = conn_answer(conn, len);
    atomic_fetch_sub(&server->num_busy, 1);
    if (go_on && conn->len >= len) {
        memmove(conn->in, conn->in + len, conn->len - len + 1);
        conn->len -= len;
    }
    return go_on;
}

/* A forward proxy's part: CONNECT answered, then TLS on the same socket. The path says how. */
static bool conn_tunnel(struct server_conn *conn)
{
    char peek[512];
    ssize_t got = recv(conn->fd, peek, sizeof peek - 1, MSG_PEEK);
    if (got < 8 || memcmp(peek, "CONNECT ", 8) != 0)
        return true;
    conn->ssl = NULL;
    while (!strstr(conn->in, "\r\n\r\n"))
        if (!conn_fill(conn))
            return false;
    bool refused = strstr(conn->in, "refused.test") != NULL;
    atomic_fetch_add(&conn->server->num_tunnels, 1);
    conn_say(conn, refused ? "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno\n"
                           : "HTTP/1.1 200 Connection established\r\n\r\n");
    conn->len = 0;
    conn->in[0] = '\0';
    return !refused;
}

static void *conn_serve(void *arg)
{
    struct server_conn *conn = arg;
    bool go_on = conn_tunnel(conn);
    if (go_on && conn->server->ctx) {
        conn->ssl = SSL_new(conn->server->ctx);
        SSL_set_fd(conn->ssl, conn->fd);
        go_on = SSL_accept(conn->ssl) == 1;
    }
    while (go_on && conn_serve_one(conn))
        ;
    if (conn->ssl && !strstr(conn->in, "truncate=1"))
        SSL_shutdown(conn->ssl);
    SSL_free(conn->ssl);
    shutdown(conn->fd, SHUT_WR);
    while (read(conn->fd, conn->in, sizeof conn->in) > 0)
        ; /* no RST that overtakes what was said */
    close(conn->fd);
    free(conn);
    return NULL;
}

static void *server_accept(void *arg)
{
    struct server *server = arg;
    for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0;) {
        struct server_conn *conn = calloc(1, sizeof *conn);
        pthread_t thread;
        conn->server = server;
        conn->fd = fd;
        atomic_fetch_add(&server->num_conns, 1);
        if (pthread_create(&thread, NULL, conn_serve, conn) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

SSL_CTX *server_ctx_new(const struct cert *cert)
{
    CBS cbs;
    CBS_init(&cbs, cert->key_der, cert->key_len);
    EVP_PKEY *key = EVP_parse_private_key(&cbs);
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
    MUST(SSL_CTX_set_chain_and_key(ctx, cert->chain, cert->num_chain, key, NULL) == 1);
    EVP_PKEY_free(key);
    return ctx;
}

void server_start(struct server *server, const struct cert *cert)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    *server = (struct server){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    if (cert)
        server->ctx = server_ctx_new(cert);
    MUST(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(server->listener, 64) == 0);
    MUST(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    MUST(pthread_create(&thread, NULL, server_accept, server) == 0);
    pthread_detach(thread);
}
