/* dir_lanes: in which order the tasks of a directory store go to the pool `disk`. Two queues: ordered tasks (opening, lock,
 * commits, reads that wait for a recovery) one at a time, in order; reads a few at a time beside them. A full pool only
 * delays. Control thread; belongs to store_dir. */
#ifndef STORE_DIR_LANES_H
#define STORE_DIR_LANES_H

#include "store/dir_task.h"

struct dir_lanes {
    struct offload_pool *disk; /* borrowed, as is the port */
    struct offload_port *port;
    uv_timer_t retry; /* embeds; its data is the owner's, who closes it */
    struct list ordered, reads;
    unsigned num_ordered_out, num_reads_out;
    bool open; /* false: nothing goes out but tasks that open */
};

void dir_lanes_init(struct dir_lanes *lanes, uv_loop_t *loop, struct offload_pool *disk, struct offload_port *port);
/* Takes the task over until it is home, and sends what can be sent. */
void dir_lanes_put(struct dir_lanes *lanes, struct dir_task *task);
/* Takes back a task that waits; false: it is out and will come home. */
bool dir_lanes_take_back(struct dir_task *task);
/* The next one that waits, taken back; NULL: none does. */
struct dir_task *dir_lanes_take_any(struct dir_lanes *lanes);
/* Counts it; the caller then calls dir_lanes_pump, in its own time. */
void dir_lanes_came_home(struct dir_lanes *lanes, const struct dir_task *task);
void dir_lanes_pump(struct dir_lanes *lanes);
/* Nothing is with the pool. */
bool dir_lanes_idle(const struct dir_lanes *lanes);

#endif
