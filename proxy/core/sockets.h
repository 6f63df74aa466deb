/* sockets: the listening sockets of the configuration: bound at start, so that what cannot work is said at once, and
 * handed to the workers and the admin endpoint when there is something to serve. Control thread. */
#ifndef CORE_SOCKETS_H
#define CORE_SOCKETS_H

#include "config/config.h"
#include "core/worker.h"

enum socket_name { SOCKET_HTTPS, SOCKET_HTTP, SOCKET_ADMIN, NUM_SOCKETS };

struct sockets {
    const struct config *config;
    struct log_ring *log;
    int fds[NUM_SOCKETS]; /* -1: off, or handed over */
};

/* Binds all that are not off. False: at least one failed, and each has been logged with its cure. */
MUST_CHECK bool sockets_bind(struct sockets *sockets, const struct config *config, struct log_ring *log);
/* A socket of each kind for each worker. */
MUST_CHECK struct err sockets_give_workers(struct sockets *sockets, struct worker *const *workers, size_t num_workers);
/* The admin endpoint's, which is the caller's from then on; -1: off. */
int sockets_take_admin(struct sockets *sockets, bool *out_unix_socket);

/* What another configuration changes of them. */
struct sockets_change {
    struct {
        bool moved;
        bool unix_socket;
        int *fds; /* bound, one per worker, or one of the admin endpoint; -1: handed over; NULL: it listens no more */
        size_t num_fds;
    } places[NUM_SOCKETS];
};

/* Binds what `next` has elsewhere, while all that there is stays. False: a mistake for each that failed was added, and
 * nothing is bound. */
MUST_CHECK bool sockets_prepare(const struct sockets *sockets, const struct config *next, size_t num_workers,
                                struct sockets_change *out_change, struct config_mistakes *mistakes);
/* Hands over what worker `i` is to do, into an update for it. */
void sockets_hand_over(struct sockets_change *change, size_t i, struct worker_update *update);
/* The configuration is `next` from now on; says where it listens. */
void sockets_moved(struct sockets *sockets, const struct config *next, const struct sockets_change *change);
/* Closes what was not handed over. */
void sockets_change_cleanup(struct sockets_change *change);

/* Closes what was not handed over. */
void sockets_close(struct sockets *sockets);

#endif
