#include "net/offload.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Jobs in the order of their coming, linked by job->next. */
struct job_queue {
    struct offload_job *first;
    struct offload_job **last_next; /* where the next one is hung */
};

struct offload_pool {
    const char *name;
    int nice;
    size_t max_queued;
    uv_mutex_t mutex; /* guards all below but the threads */
    uv_cond_t wake;
    struct job_queue queue;
    size_t num_queued;
    bool stopping;
    unsigned num_threads;
    uv_thread_t threads[];
};

struct offload_port {
    uv_async_t async; /* embeds; referenced by the loop only while jobs are out */
    size_t num_out;   /* submitted and not home yet; loop's thread */
    bool closing;     /* loop's thread */
    uv_mutex_t mutex; /* guards finished */
    struct job_queue finished;
};

static void job_queue_init(struct job_queue *queue)
{
    queue->first = NULL;
    queue->last_next = &queue->first;
}

static void job_queue_put(struct job_queue *queue, struct offload_job *job)
{
    job->next = NULL;
    *queue->last_next = job;
    queue->last_next = &job->next;
}

static struct offload_job *job_queue_take(struct job_queue *queue)
{
    struct offload_job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    if (!queue->first)
        queue->last_next = &queue->first;
    return job;
}

/* The loop frees the port only after it has taken the last job under this mutex: sending inside it, no send can
 * come to a port that is gone. */
static void port_deliver(struct offload_port *port, struct offload_job *job)
{
    uv_mutex_lock(&port->mutex);
    job_queue_put(&port->finished, job);
    uv_async_send(&port->async);
    uv_mutex_unlock(&port->mutex);
}

static void thread_name_and_nice(const struct offload_pool *pool)
{
    char name[16]; /* the kernel's limit */
    snprintf(name, sizeof name, "%s", pool->name);
    pthread_setname_np(pthread_self(), name);
    if (pool->nice <= 0)
        return;
    errno = 0;
    int own = getpriority(PRIO_PROCESS, (id_t)gettid()); /* in Linux niceness belongs to the thread */
    if (errno == 0)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), own + pool->nice);
}

/* Waits for a job; NULL once the pool stops and nothing is queued. */
static struct offload_job *pool_take(struct offload_pool *pool)
{
    uv_mutex_lock(&pool->mutex);
    while (!pool->queue.first && !pool->stopping)
        uv_cond_wait(&pool->wake, &pool->mutex);
    struct offload_job *job = job_queue_take(&pool->queue);
    if (job)
        pool->num_queued--;
    uv_mutex_unlock(&pool->mutex);
    return job;
}

static void pool_thread(void *arg)
{
    struct offload_pool *pool = arg;
    thread_name_and_nice(pool);
    for (struct offload_job *job; (job = pool_take(pool));) {
        struct offload_port *port = job->port;
        job->work(job);
        port_deliver(port, job);
    }
}

struct offload_pool *offload_pool_new(const char *name, unsigned num_threads, int nice, size_t max_queued)
{
    struct offload_pool *pool = mem_calloc(1, sizeof *pool + num_threads * sizeof pool->threads[0]);
    pool->name = name;
    pool->nice = nice;
    pool->max_queued = max_queued;
    job_queue_init(&pool->queue);
    uv_mutex_init(&pool->mutex);
    uv_cond_init(&pool->wake);
    while (pool->num_threads < num_threads &&
           uv_thread_create(&pool->threads[pool->num_threads], pool_thread, pool) == 0)
        pool->num_threads++;
    if (pool->num_threads == 0) {
        offload_pool_free(pool);
        return NULL;
    }
    return pool;
}

void offload_pool_free(struct offload_pool *pool)
{
    if (!pool)
        return;
    uv_mutex_lock(&pool->mutex);
    pool->stopping = true;
    uv_cond_broadcast(&pool->wake);
    uv_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->num_threads; i++)
        uv_thread_join(&pool->threads[i]);
    uv_cond_destroy(&pool->wake);
    uv_mutex_destroy(&pool->mutex);
    mem_free(pool);
}

static void port_closed(uv_handle_t *handle)
{
    struct offload_port *port = container_of(handle, struct offload_port, async);
    uv_mutex_destroy(&port->mutex);
    mem_free(port);
}

/* Holds the loop while jobs are out, lets it end when all are home, closes a port that only waited for that. */
static void port_settle(struct offload_port *port)
{
    uv_handle_t *handle = (uv_handle_t *)&port->async;
    if (uv_is_closing(handle))
        return;
    if (port->num_out)
        uv_ref(handle);
    else if (port->closing)
        uv_close(handle, port_closed);
    else
        uv_unref(handle);
}

static void port_on_wake(uv_async_t *async)
{
    struct offload_port *port = container_of(async, struct offload_port, async);
    uv_mutex_lock(&port->mutex);
    struct offload_job *job = port->finished.first;
    job_queue_init(&port->finished);
    uv_mutex_unlock(&port->mutex);
    while (job) {
        struct offload_job *next = job->next; /* done may free the job */
        job->done(job);
        port->num_out--; /* behind done, so that a close from within it still finds this job out */
        job = next;
    }
    port_settle(port);
}

struct offload_port *offload_port_new(uv_loop_t *loop)
{
    struct offload_port *port = MEM_NEW(struct offload_port);
    if (uv_async_init(loop, &port->async, port_on_wake) != 0) {
        mem_free(port);
        return NULL;
    }
    uv_mutex_init(&port->mutex);
    job_queue_init(&port->finished);
    port_settle(port);
    return port;
}

void offload_port_close(struct offload_port *port)
{
    if (!port)
        return;
    port->closing = true;
    port_settle(port);
}

bool offload_submit(struct offload_pool *pool, struct offload_port *port, struct offload_job *job)
{
    job->port = port;
    uv_mutex_lock(&pool->mutex);
    bool taken = pool->num_queued < pool->max_queued && !pool->stopping;
    if (taken) {
        job_queue_put(&pool->queue, job);
        pool->num_queued++;
        uv_cond_signal(&pool->wake);
    }
    uv_mutex_unlock(&pool->mutex);
    if (taken) { /* the loop alone counts, and it cannot see the job come home before we return to it */
        port->num_out++;
        port_settle(port);
    }
    return taken;
}
