/* scripted_server: an HTTP/1.1 server of threads and blocking sockets, with TLS or without, for tests of clients. The path
 * says how it answers (scripted_server.c, conn_answer); CONNECT is answered as a forward proxy does, and TLS goes on. */
#ifndef SUPPORT_SCRIPTED_SERVER_H
#define SUPPORT_SCRIPTED_SERVER_H

#include "tls/cert.h"

#include <stdatomic.h>

struct server {
    SSL_CTX *ctx; /* NULL: plain */
    int listener;
    uint16_t port;
    _Atomic unsigned num_conns, num_requests, num_busy, max_busy, num_tunnels;
};

/* What shows the certificate; the caller frees it. */
SSL_CTX *server_ctx_new(const struct cert *cert);

/* Listens on 127.0.0.1; cert NULL: without TLS. Its threads are detached and end with the process: it lives as long. */
void server_start(struct server *server, const struct cert *cert);

#endif
