/* sockets: the listening sockets of the configuration: taken over from a process that leaves, passed by the service
 * manager, or bound here, at start, so that what cannot work is said at once; handed to the workers and the admin
 * endpoint when there is something to serve. Control thread.
 *
 * Sockets that we bind are one for each worker (SO_REUSEPORT: a queue each, no herd). Sockets that came from elsewhere
 * are never multiplied that way, because whoever keeps them would not know the others: what waits in their queues
 * would be lost at a restart. Workers share them by copies of the descriptor, and every one of them has a worker that
 * accepts from it. */
#ifndef CORE_SOCKETS_H
#define CORE_SOCKETS_H

#include "config/config.h"
#include "core/activation.h"
#include "core/worker.h"

enum socket_name { SOCKET_HTTPS, SOCKET_HTTP, SOCKET_ADMIN, NUM_SOCKETS };

enum { SOCKETS_MAX_EACH = ACTIVATION_MAX_FDS }; /* as many as there can be workers */

struct socket_set {
    int fds[SOCKETS_MAX_EACH]; /* one for each queue of the kernel */
    size_t num;                /* 0: off, or handed over */
    size_t num_lent;           /* that the workers have, as numbers alone: also the first of fds */
    bool unix_socket;
    bool passed; /* not bound here */
};

struct sockets {
    const struct config *config;
    struct log_ring *log;
    struct socket_set sets[NUM_SOCKETS];
};

/* "https", "http", "admin". */
const char *socket_name_text(enum socket_name which);
/* What the configuration says of it. */
const struct config_listen *socket_config(const struct config *config, enum socket_name which);

void sockets_init(struct sockets *sockets, const struct config *config, struct log_ring *log);
/* Of another process that served the same; `fd` is ours from here on. False where there are too many. */
bool sockets_adopt(struct sockets *sockets, enum socket_name which, int fd);
/* Takes what `activation` has, binds what is neither off nor there. False: at least one failed, and each has been logged
 * with its cure. */
MUST_CHECK bool sockets_bind(struct sockets *sockets, struct activation *activation);
/* At least one socket of each kind for each worker, which has not started. */
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
