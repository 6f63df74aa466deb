/* key_maker: makes certificates' keys on a thread of a pool, for acme_world's make_key: RSA of 4096 bits takes seconds, which
 * the control loop does not have.
 *
 * Owns nothing but the jobs that run: one that nobody waits for any more ends by itself, and its key is overwritten and
 * freed. Control thread. */
#ifndef CERTS_KEY_MAKER_H
#define CERTS_KEY_MAKER_H

#include "acme/acme.h"
#include "net/net_loop.h"
#include "net/offload.h"

/* Embedded by whoever asks; a value. Loop, pool and port outlive it. */
struct key_maker {
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port; /* of the loop */
};

/* Calls job->done once, never from within: with the key, which is the asker's, or with why there is none (ERR_LIMIT where
 * the pool is full). */
void key_maker_make(const struct key_maker *maker, enum key_type type, struct acme_key_job *job);
/* job->done is not called any more. Only between the two. */
void key_maker_cancel(struct acme_key_job *job);

#endif
