/* worker: one thread with one loop that serves connections and shares nothing. Owned by control; touched by its own
 * thread alone but for what stands under "shared". */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "core/mailbox.h"
#include "core/slot.h"
#include "front/conn.h"
#include "upstream/pool.h"

enum worker_order {
    WORKER_RUN,
    WORKER_DRAIN, /* answers say Connection: close; listeners stay open */
    WORKER_LEAVE, /* listeners close, for another process accepts from their sockets; idle connections wait for CLOSE */
    WORKER_CLOSE, /* listeners close, idle connections too; ends when the last one has gone */
    WORKER_STOP   /* everything ends now */
};

enum worker_place { WORKER_HTTPS, WORKER_HTTP, NUM_WORKER_PLACES };

/* Another configuration, and what it changes of where the worker listens. */
struct worker_update {
    const struct config *config; /* a reference goes along */
    struct {
        enum { PLACE_STAY, PLACE_LEAVE, PLACE_MOVE } kind;
        int fd; /* MOVE: bound; the worker's from then on */
        bool unix_socket;
    } places[NUM_WORKER_PLACES];
};

struct worker_options {
    unsigned index;
    const struct config *config;
    struct certset *certset; /* the first one; a reference goes along */
    struct log_ring *log;
    struct mailbox *mailbox;
    struct conn_credit *credit;
    struct offload_pool *resolve_pool, *sign_pool, *password_pool;
};

struct worker;

/* Whether workers can be made for it: TLS_CLIENT_CA only shows itself here. */
MUST_CHECK struct err worker_check(const struct config *config);
/* Of a config that worker_check has found to be in order. */
struct worker *worker_new(const struct worker_options *options);
/* Before worker_start: a bound socket, which is the worker's from then on, even where this fails. */
MUST_CHECK struct err worker_listen(struct worker *worker, int fd, bool unix_socket, bool secure);
MUST_CHECK struct err worker_start(struct worker *worker);

/* shared: control's side */
void worker_publish(struct worker *worker, struct certset *set); /* a reference goes along */
/* Its listeners open the new places before they leave the old ones, whose connections live on. Exchanges go on with the
 * config that they began with; the one that is displaced comes home as MAIL_RETIRED_CONFIG. The latest config wins, but no
 * place is lost. Not after WORKER_CLOSE has been ordered. */
void worker_configure(struct worker *worker, const struct worker_update *update);
void worker_order(struct worker *worker, enum worker_order order);
/* The generation that it serves. */
uint64_t worker_generation(const struct worker *worker);
/* Asks for a sign of life; and the monotonic time of the last one. */
void worker_ping(struct worker *worker);
uint64_t worker_alive_ms(const struct worker *worker);
const struct counters *worker_counters(const struct worker *worker);

struct worker_load {
    uint64_t num_conns, num_busy, num_tunnels;
    uint64_t num_cut, num_tunnels_cut; /* what STOP ended */
    uint64_t last_connection_ms;       /* monotonic */
    uint64_t lag_us;                   /* from the last ping to its answer: what an event waits for the loop's turn */
    struct pool_reach reach;
};

/* As of its last sign of life. */
struct worker_load worker_load(const struct worker *worker);

/* Waits for the thread to end (after WORKER_CLOSE or WORKER_STOP) and frees it all. */
void worker_join(struct worker *worker);

#endif
