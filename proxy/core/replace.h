/* replace: puts a running process on another configuration, whole or not at all.
 *
 * All that can fail is tried first: sockets are bound, certificates and roots are read. Then every part goes on with the
 * new configuration, and nothing fails any more. Owns nothing; control thread. */
#ifndef CORE_REPLACE_H
#define CORE_REPLACE_H

#include "certs/ca_transport.h"
#include "certs/dns_hook.h"
#include "certs/keeper.h"
#include "core/sockets.h"

/* Control's own; lent for the call. */
struct replace_parts {
    const struct config **config; /* what runs; holds a reference */
    struct log *log;
    struct log_ring *ring;
    struct sockets *sockets;
    struct conn_credit *credit;
    int64_t possible_conns; /* that the descriptors allow */
    struct keeper *keeper;
    struct ca_transport **ca; /* NULL in it: no CA is asked */
    struct dns_hook **hook;   /* NULL in it: none */
    struct worker *const *workers;
    size_t num_workers;
    void *ctx;
    MUST_CHECK struct err (*make_ca)(void *ctx, const struct config *config, struct ca_transport **out_ca);
    /* NULL where the configuration has none. */
    MUST_CHECK struct err (*make_hook)(void *ctx, const struct config *config, struct dns_hook **out_hook);
    void (*close_hook)(void *ctx, struct dns_hook *hook);
    /* Its endpoint listens there from now on, and no more where it did. fd: the callee's; -1: nowhere. */
    void (*move_admin)(void *ctx, int fd, bool unix_socket);
};

/* False: nothing has changed, and mistakes say why. `next` has been compared: no restart-only variable differs. */
MUST_CHECK bool replace_config(const struct replace_parts *parts, const struct config *next,
                               struct config_mistakes *mistakes);

/* MAX_CONNS, as far as the descriptors allow. */
void replace_set_credit(const struct replace_parts *parts, const struct config *config);

#endif
