/* conn: one client connection: its socket, TLS where its listener speaks it, and the front of whatever it speaks.
 * One worker's thread. Owned by the worker's list; frees itself in its socket's last event. */
#ifndef FRONT_CONN_H
#define FRONT_CONN_H

#include "front/h1_front.h"
#include "front/raw_front.h"
#include "net/listener.h"
#include "net/tcp_stream.h"
#include "tls/tls_server.h"
#include "tls/tls_stream.h"

/* What all connections of a worker share; borrowed. */
struct conn_env {
    struct exchange_env *exchange;
    struct tls_server *tls;
    struct conn_credit *credit;
    struct list conns;
    size_t num_conns;
    /* A client asked for a name that nobody serves; its address in text. May be NULL. */
    void (*wanted)(struct conn_env *env, struct slice name, struct slice client);
    void (*emptied)(struct conn_env *env); /* the last connection has gone; may be NULL */
};

struct conn;

/* For tls_server_options: the address that the client of one of these came to, by the PROXY protocol's word where there
 * is one. */
bool conn_local_ip(const struct tls_stream *tls, struct ip *out_ip);
/* The same: somebody asks one of these for a name that nobody serves. */
void conn_unknown_name(const struct tls_stream *tls, struct slice name);
/* Takes over an accepted socket and its credit. */
void conn_open(struct conn_env *env, int fd, bool unix_socket, bool secure);
/* Says no further request to all: see h1_front_drain. Handshakes go on. */
void conn_drain_all(struct conn_env *env);
/* Ends all at once. */
void conn_reset_all(struct conn_env *env);
/* Requests in the works; tunnels are counted apart. */
size_t conn_num_busy(const struct conn_env *env, size_t *out_num_tunnels);

#endif
