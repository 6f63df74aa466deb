#include "net/ticker.h"

struct tick_queue {
    struct list node;
    struct list ticks; /* all of one duration: appended in the order in which they are due */
    uint64_t timeout_ms;
};

static void ticker_fired(uv_timer_t *timer);

static void ticker_arm(struct ticker *ticker, uint64_t due_ms)
{
    if (ticker->armed_ms && ticker->armed_ms <= due_ms)
        return; /* fires earlier, and then looks again */
    uint64_t now_ms = uv_now(ticker->timer.loop);
    uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    wait_ms = (wait_ms / TICKER_GRAIN_MS + 1) * TICKER_GRAIN_MS;
    ticker->armed_ms = now_ms + wait_ms;
    uv_timer_start(&ticker->timer, ticker_fired, wait_ms, 0);
}

static void tick_queue_expire(struct tick_queue *queue, uint64_t now_ms)
{
    struct list due; /* what is armed meanwhile, without any duration, waits for the next turn, so that this one ends */
    struct list *node;
    list_init(&due);
    while ((node = list_first(&queue->ticks)) && container_of(node, struct tick, node)->due_ms <= now_ms) {
        list_remove(node);
        list_append(&due, node);
    }
    while ((node = list_first(&due))) {
        struct tick *tick = container_of(node, struct tick, node);
        list_remove(node);
        tick->expired(tick);
    }
}

static void ticker_fired(uv_timer_t *timer)
{
    struct ticker *ticker = container_of(timer, struct ticker, timer);
    uint64_t now_ms = uv_now(timer->loop);
    ticker->armed_ms = 0;
    LIST_EACH(&ticker->queues, node)
        tick_queue_expire(container_of(node, struct tick_queue, node), now_ms);
    LIST_EACH(&ticker->queues, node) {
        struct list *first = list_first(&container_of(node, struct tick_queue, node)->ticks);
        if (first)
            ticker_arm(ticker, container_of(first, struct tick, node)->due_ms);
    }
}

static struct tick_queue *ticker_queue(struct ticker *ticker, uint64_t timeout_ms)
{
    LIST_EACH(&ticker->queues, node) {
        struct tick_queue *queue = container_of(node, struct tick_queue, node);
        if (queue->timeout_ms == timeout_ms)
            return queue;
    }
    struct tick_queue *queue = MEM_NEW(struct tick_queue);
    queue->timeout_ms = timeout_ms;
    list_init(&queue->ticks);
    list_append(&ticker->queues, &queue->node);
    return queue;
}

void ticker_init(struct ticker *ticker, uv_loop_t *loop)
{
    uv_timer_init(loop, &ticker->timer);
    uv_unref((uv_handle_t *)&ticker->timer);
    list_init(&ticker->queues);
    ticker->armed_ms = 0;
}

void ticker_cleanup(struct ticker *ticker)
{
    LIST_EACH(&ticker->queues, node) {
        struct tick_queue *queue = container_of(node, struct tick_queue, node);
        LIST_EACH(&queue->ticks, tick)
            list_remove(tick);
        list_remove(node);
        mem_free(queue);
    }
    uv_timer_stop(&ticker->timer);
}

void tick_init(struct tick *tick, void (*expired)(struct tick *tick))
{
    list_init(&tick->node);
    tick->due_ms = 0;
    tick->expired = expired;
}

void tick_start(struct ticker *ticker, struct tick *tick, uint64_t timeout_ms)
{
    list_remove(&tick->node);
    tick->due_ms = uv_now(ticker->timer.loop) + timeout_ms;
    list_append(&ticker_queue(ticker, timeout_ms)->ticks, &tick->node);
    ticker_arm(ticker, tick->due_ms);
}

void tick_stop(struct tick *tick)
{
    list_remove(&tick->node);
}
