/* due_queue: what is due next among many, as a binary heap over nodes that their owners embed. Setting and removing cost
 * a logarithm, looking at the first nothing. Owns its array alone. One thread. */
#ifndef CERTS_DUE_QUEUE_H
#define CERTS_DUE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct due {
    int64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not queued */
};

struct due_queue {
    struct due **heap; /* heap[0] is not used */
    size_t num, cap;
};

/* A zeroed queue is empty, a zeroed due is not queued. */
void due_queue_cleanup(struct due_queue *queue);
/* Queues it, or moves it. INT64_MAX: removes it. */
void due_queue_set(struct due_queue *queue, struct due *due, int64_t at_ms);
/* The earliest, or NULL. */
struct due *due_queue_first(const struct due_queue *queue);

#endif
