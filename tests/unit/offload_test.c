#include "base/mem.h"
#include "check.h"
#include "net/offload.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

/* A job that can be held until the test opens the gate. */
struct gate {
    uv_mutex_t mutex;
    uv_cond_t changed;
    bool open;
    int num_running;
};

struct task {
    struct offload_job job;
    struct gate *gate;
    int *num_done;
    int *order; /* number of the task that came home last */
    uv_thread_t loop_thread;
    uv_thread_t work_thread;
    struct offload_port *close_in_done;
    struct offload_pool *again_in_done;
    int number;
    int nice;
    char name[16];
};

static void gate_init(struct gate *gate)
{
    *gate = (struct gate){0};
    uv_mutex_init(&gate->mutex);
    uv_cond_init(&gate->changed);
}

static void gate_cleanup(struct gate *gate)
{
    uv_cond_destroy(&gate->changed);
    uv_mutex_destroy(&gate->mutex);
}

static void gate_open(struct gate *gate)
{
    uv_mutex_lock(&gate->mutex);
    gate->open = true;
    uv_cond_broadcast(&gate->changed);
    uv_mutex_unlock(&gate->mutex);
}

static void gate_pass(struct gate *gate)
{
    uv_mutex_lock(&gate->mutex);
    gate->num_running++;
    uv_cond_broadcast(&gate->changed);
    while (!gate->open)
        uv_cond_wait(&gate->changed, &gate->mutex);
    uv_mutex_unlock(&gate->mutex);
}

static void gate_wait_running(struct gate *gate, int num)
{
    uv_mutex_lock(&gate->mutex);
    while (gate->num_running < num)
        uv_cond_wait(&gate->changed, &gate->mutex);
    uv_mutex_unlock(&gate->mutex);
}

static void task_work(struct offload_job *job)
{
    struct task *task = container_of(job, struct task, job);
    task->work_thread = uv_thread_self();
    task->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    pthread_getname_np(pthread_self(), task->name, sizeof task->name);
    if (task->gate)
        gate_pass(task->gate);
}

static void task_done(struct offload_job *job)
{
    struct task *task = container_of(job, struct task, job);
    uv_thread_t self = uv_thread_self();
    CHECK(uv_thread_equal(&self, &task->loop_thread));
    CHECK(!uv_thread_equal(&self, &task->work_thread));
    (*task->num_done)++;
    if (task->order)
        *task->order = task->number;
    struct offload_pool *again = task->again_in_done;
    task->again_in_done = NULL;
    if (again)
        CHECK(offload_submit(again, job->port, job));
    else if (task->close_in_done)
        offload_port_close(task->close_in_done);
}

static struct task task_make(struct gate *gate, int *num_done)
{
    return (struct task){.job = {.work = task_work, .done = task_done},
                         .gate = gate,
                         .num_done = num_done,
                         .loop_thread = uv_thread_self()};
}

static void loop_end(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(loop), 0);
}

static void test_done_runs_on_the_loop_in_order(void)
{
    enum { NUM = 100 };
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct offload_pool *pool = offload_pool_new("disk", 1, 0, NUM);
    struct offload_port *port = offload_port_new(&loop);
    struct task tasks[NUM];
    int num_done = 0, last = -1;
    for (int i = 0; i < NUM; i++) {
        tasks[i] = task_make(NULL, &num_done);
        tasks[i].order = &last;
        tasks[i].number = i;
        CHECK(offload_submit(pool, port, &tasks[i].job));
    }
    CHECK_INT(num_done, 0);        /* never within submit */
    uv_run(&loop, UV_RUN_DEFAULT); /* ends by itself: an idle port does not hold the loop */
    CHECK_INT(num_done, NUM);
    CHECK_INT(last, NUM - 1);
    CHECK_STR(tasks[0].name, "disk");
    offload_port_close(port);
    loop_end(&loop);
    offload_pool_free(pool);
}

static void test_full_pool_sheds(void)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct gate gate;
    gate_init(&gate);
    struct offload_pool *pool = offload_pool_new("sign", 2, 0, 3);
    struct offload_port *port = offload_port_new(&loop);
    struct task tasks[6];
    int num_done = 0;
    for (int i = 0; i < 6; i++)
        tasks[i] = task_make(&gate, &num_done);
    CHECK(offload_submit(pool, port, &tasks[0].job));
    CHECK(offload_submit(pool, port, &tasks[1].job));
    gate_wait_running(&gate, 2); /* both threads are busy: the rest waits */
    CHECK(offload_submit(pool, port, &tasks[2].job));
    CHECK(offload_submit(pool, port, &tasks[3].job));
    CHECK(offload_submit(pool, port, &tasks[4].job));
    CHECK(!offload_submit(pool, port, &tasks[5].job));
    gate_open(&gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(num_done, 5); /* what was shed never comes home */
    CHECK(offload_submit(pool, port, &tasks[5].job));
    offload_port_close(port);
    loop_end(&loop);
    CHECK_INT(num_done, 6);
    offload_pool_free(pool);
    gate_cleanup(&gate);
}

static void test_jobs_come_home_to_a_closing_port(void)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct gate gate;
    gate_init(&gate);
    struct offload_pool *pool = offload_pool_new("disk", 2, 0, 8);
    struct offload_port *port = offload_port_new(&loop);
    struct task tasks[4];
    int num_done = 0;
    for (int i = 0; i < 4; i++) {
        tasks[i] = task_make(&gate, &num_done);
        CHECK(offload_submit(pool, port, &tasks[i].job));
    }
    gate_wait_running(&gate, 2);
    offload_port_close(port);
    uv_run(&loop, UV_RUN_NOWAIT);
    CHECK(uv_loop_alive(&loop)); /* still waiting for its jobs */
    CHECK_INT(num_done, 0);
    gate_open(&gate);
    loop_end(&loop);
    CHECK_INT(num_done, 4);
    offload_pool_free(pool);
    gate_cleanup(&gate);
}

static void test_pool_freed_first_finishes_what_is_queued(void)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct offload_pool *pool = offload_pool_new("disk", 1, 0, 50);
    struct offload_port *port = offload_port_new(&loop);
    struct task tasks[50];
    int num_done = 0;
    for (int i = 0; i < 50; i++) {
        tasks[i] = task_make(NULL, &num_done);
        CHECK(offload_submit(pool, port, &tasks[i].job));
    }
    offload_pool_free(pool);
    CHECK_INT(num_done, 0);
    offload_port_close(port);
    loop_end(&loop);
    CHECK_INT(num_done, 50);
}

static void test_done_may_submit_and_close(void)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct offload_pool *pool = offload_pool_new("disk", 1, 0, 2);
    struct offload_port *port = offload_port_new(&loop);
    int num_done = 0;
    struct task task = task_make(NULL, &num_done);
    task.again_in_done = pool;
    task.close_in_done = port;
    CHECK(offload_submit(pool, port, &task.job));
    loop_end(&loop);
    CHECK_INT(num_done, 2);
    offload_pool_free(pool);
}

static void test_nice_is_added(void)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    int own = getpriority(PRIO_PROCESS, 0);
    struct offload_pool *pool = offload_pool_new("a-name-longer-than-the-kernel-takes", 1, 5, 2);
    struct offload_port *port = offload_port_new(&loop);
    int num_done = 0;
    struct task task = task_make(NULL, &num_done);
    CHECK(offload_submit(pool, port, &task.job));
    offload_port_close(port);
    loop_end(&loop);
    CHECK_INT(task.nice, own + 5 > 19 ? 19 : own + 5);
    CHECK_STR(task.name, "a-name-longer-t");
    CHECK_INT(getpriority(PRIO_PROCESS, 0), own);
    offload_pool_free(pool);
}

enum { NUM_LOOPS = 3, NUM_SHARED = 64, NUM_ROUNDS = 50 };

static void submit_from_own_loop(void *arg)
{
    struct offload_pool *pool = arg;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct offload_port *port = offload_port_new(&loop);
    struct task tasks[NUM_SHARED];
    int num_done = 0, num_taken = 0;
    for (int round = 0; round < NUM_ROUNDS; round++) {
        for (int i = 0; i < NUM_SHARED; i++) {
            tasks[i] = task_make(NULL, &num_done);
            num_taken += offload_submit(pool, port, &tasks[i].job);
        }
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    offload_port_close(port);
    loop_end(&loop);
    CHECK_INT(num_taken, NUM_ROUNDS * NUM_SHARED); /* the pool has room for all of them */
    CHECK_INT(num_done, num_taken);
}

static void test_many_loops_share_a_pool(void)
{
    struct offload_pool *pool = offload_pool_new("resolve", 3, 0, (size_t)NUM_LOOPS * NUM_SHARED);
    uv_thread_t threads[NUM_LOOPS];
    for (int i = 0; i < NUM_LOOPS; i++)
        uv_thread_create(&threads[i], submit_from_own_loop, pool);
    for (int i = 0; i < NUM_LOOPS; i++)
        uv_thread_join(&threads[i]);
    offload_pool_free(pool);
}

int main(void)
{
    offload_pool_free(NULL);
    offload_port_close(NULL);
    RUN(test_done_runs_on_the_loop_in_order);
    RUN(test_full_pool_sheds);
    RUN(test_jobs_come_home_to_a_closing_port);
    RUN(test_pool_freed_first_finishes_what_is_queued);
    RUN(test_done_may_submit_and_close);
    RUN(test_nice_is_added);
    RUN(test_many_loops_share_a_pool);
    return checks_done();
}
