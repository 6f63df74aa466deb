/* offload: work that must not run on a loop (RSA signing, files, name resolution), in named, bounded pools with
 * threads of their own. libuv's shared pool is not used: it has four threads and no priorities.
 *
 * A pool belongs to the process and is made before the loops run. Each loop that submits has a port, over which its
 * finished jobs come home: `done` always runs on the loop of the port, never within submit. A job owns its input and
 * outlives whoever asked: the asker detaches (by clearing its own pointer in the job) and `done` then only frees. */
#ifndef NET_OFFLOAD_H
#define NET_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct offload_pool;
struct offload_port;

struct offload_job {
    void (*work)(struct offload_job *job); /* on a thread of the pool */
    void (*done)(struct offload_job *job); /* on the port's loop; may free the job */
    struct offload_port *port;             /* offload's own, as is the next line */
    struct offload_job *next;
};

/* `name` is a literal and becomes the threads' name; nice is added to the threads' niceness (0 to 19); max_queued (at
 * least 1) bounds the jobs that wait, those that run not counted. Where the system refuses some of the threads the pool
 * has fewer; NULL where it refuses all. */
struct offload_pool *offload_pool_new(const char *name, unsigned num_threads, int nice, size_t max_queued);
/* Finishes what is queued, joins the threads. No port may submit any more. */
void offload_pool_free(struct offload_pool *pool);

/* An idle port does not keep its loop running, a port with jobs out does. NULL where the loop has no descriptors left. */
struct offload_port *offload_port_new(uv_loop_t *loop);
/* Asynchronous: jobs still in the pools are waited for (the loop keeps running until they are home), then the port
 * frees itself in its close callback. Its pools must live until then. NULL is fine. */
void offload_port_close(struct offload_port *port);

/* On the port's thread; a job's `done` may submit. false: the pool is full, nothing was taken, the caller sheds the work. */
bool offload_submit(struct offload_pool *pool, struct offload_port *port, struct offload_job *job);

#endif
