#include "net/net_loop.h"

static void net_loop_run_deferred(struct net_loop *loop)
{
    struct list batch; /* what is deferred meanwhile waits for the next turn, so that this one ends */
    list_init(&batch);
    while (!list_empty(&loop->deferred)) {
        struct list *node = list_first(&loop->deferred);
        list_remove(node);
        list_append(&batch, node);
    }
    struct list *node;
    while ((node = list_first(&batch))) {
        list_remove(node);
        struct deferred *deferred = container_of(node, struct deferred, node);
        deferred->run(deferred);
    }
    if (list_empty(&loop->deferred))
        uv_idle_stop(&loop->idle);
}

static void net_loop_idle(uv_idle_t *idle)
{
    (void)idle; /* it is there to keep the poll from sleeping */
}

static void net_loop_prepare(uv_prepare_t *prepare)
{
    struct net_loop *loop = container_of(prepare, struct net_loop, prepare);
    net_loop_run_deferred(loop);
    outbuf_flush(&loop->outbuf);
    graveyard_sweep(&loop->graveyard);
}

static void net_loop_check(uv_check_t *check)
{
    struct net_loop *loop = container_of(check, struct net_loop, check);
    outbuf_flush(&loop->outbuf);
}

struct net_loop *net_loop_new(uv_loop_t *uv)
{
    struct net_loop *loop = MEM_NEW(struct net_loop);
    loop->uv = uv;
    loop->read_bytes = mem_alloc(READ_BUFFER_BYTES);
    loop->plain_bytes = mem_alloc(READ_BUFFER_BYTES);
    list_init(&loop->deferred);
    ticker_init(&loop->ticker, uv);
    uv_prepare_init(uv, &loop->prepare);
    uv_prepare_start(&loop->prepare, net_loop_prepare);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_check_init(uv, &loop->check);
    uv_check_start(&loop->check, net_loop_check);
    uv_unref((uv_handle_t *)&loop->check);
    uv_idle_init(uv, &loop->idle);
    outbuf_init(&loop->outbuf);
    return loop;
}

static void net_loop_closed(uv_handle_t *handle)
{
    struct net_loop *loop = handle->data;
    if (--loop->handles_open > 0)
        return;
    graveyard_sweep(&loop->graveyard);
    outbuf_cleanup(&loop->outbuf);
    arena_spare_cleanup(&loop->arena_spare);
    mem_free(loop->read_bytes);
    mem_free(loop->plain_bytes);
    mem_free(loop);
}

void net_loop_close(struct net_loop *loop)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&loop->prepare, (uv_handle_t *)&loop->check, (uv_handle_t *)&loop->idle,
                              (uv_handle_t *)&loop->ticker.timer};
    ticker_cleanup(&loop->ticker);
    loop->handles_open = sizeof handles / sizeof handles[0];
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        handles[i]->data = loop;
        uv_close(handles[i], net_loop_closed);
    }
}

void deferred_init(struct deferred *deferred, void (*run)(struct deferred *deferred))
{
    list_init(&deferred->node);
    deferred->run = run;
}

void deferred_start(struct net_loop *loop, struct deferred *deferred)
{
    if (!list_empty(&deferred->node))
        return;
    list_append(&loop->deferred, &deferred->node);
    uv_idle_start(&loop->idle, net_loop_idle);
}

void deferred_stop(struct deferred *deferred)
{
    list_remove(&deferred->node);
}
