#include "store/dir_lanes.h"

enum {
    READS_AT_ONCE = 3, /* of the pool's threads; more would only wait for the same disk */
    RETRY_MS = 20      /* after the pool was full */
};

void dir_lanes_init(struct dir_lanes *lanes, uv_loop_t *loop, struct offload_pool *disk, struct offload_port *port)
{
    lanes->disk = disk;
    lanes->port = port;
    list_init(&lanes->ordered);
    list_init(&lanes->reads);
    uv_timer_init(loop, &lanes->retry);
}

static bool lane_send_first(struct dir_lanes *lanes, struct list *lane, unsigned *num_out)
{
    struct dir_task *task = container_of(list_first(lane), struct dir_task, node);
    if (!offload_submit(lanes->disk, lanes->port, &task->job))
        return false;
    list_remove(&task->node);
    (*num_out)++;
    return true;
}

static bool ordered_may_go(struct dir_lanes *lanes)
{
    if (lanes->num_ordered_out || list_empty(&lanes->ordered))
        return false;
    return lanes->open || container_of(list_first(&lanes->ordered), struct dir_task, node)->opens;
}

static void retry_on_time(uv_timer_t *timer)
{
    dir_lanes_pump(container_of(timer, struct dir_lanes, retry));
}

void dir_lanes_pump(struct dir_lanes *lanes)
{
    bool room = true;
    if (ordered_may_go(lanes))
        room = lane_send_first(lanes, &lanes->ordered, &lanes->num_ordered_out);
    while (room && lanes->open && lanes->num_reads_out < READS_AT_ONCE && !list_empty(&lanes->reads))
        room = lane_send_first(lanes, &lanes->reads, &lanes->num_reads_out);
    if (!room)
        uv_timer_start(&lanes->retry, retry_on_time, RETRY_MS, 0);
}

void dir_lanes_put(struct dir_lanes *lanes, struct dir_task *task)
{
    if (task->opens)
        list_prepend(&lanes->ordered, &task->node); /* calls may be waiting for it */
    else
        list_append(task->ordered ? &lanes->ordered : &lanes->reads, &task->node);
    dir_lanes_pump(lanes);
}

bool dir_lanes_take_back(struct dir_task *task)
{
    if (list_empty(&task->node))
        return false;
    list_remove(&task->node);
    return true;
}

struct dir_task *dir_lanes_take_any(struct dir_lanes *lanes)
{
    struct list *node = list_first(list_empty(&lanes->ordered) ? &lanes->reads : &lanes->ordered);
    if (!node)
        return NULL;
    list_remove(node);
    return container_of(node, struct dir_task, node);
}

void dir_lanes_came_home(struct dir_lanes *lanes, const struct dir_task *task)
{
    if (task->ordered)
        lanes->num_ordered_out--;
    else
        lanes->num_reads_out--;
}

bool dir_lanes_idle(const struct dir_lanes *lanes)
{
    return lanes->num_ordered_out == 0 && lanes->num_reads_out == 0;
}
