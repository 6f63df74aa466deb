#include "certs/due_queue.h"

#include "base/mem.h"

void due_queue_cleanup(struct due_queue *queue)
{
    mem_free(queue->heap);
    *queue = (struct due_queue){0};
}

static void due_queue_place(struct due_queue *queue, size_t place, struct due *due)
{
    queue->heap[place] = due;
    due->place = place;
}

static void due_queue_rise(struct due_queue *queue, struct due *due)
{
    size_t place = due->place;
    for (; place > 1 && queue->heap[place / 2]->at_ms > due->at_ms; place /= 2)
        due_queue_place(queue, place, queue->heap[place / 2]);
    due_queue_place(queue, place, due);
}

static void due_queue_sink(struct due_queue *queue, struct due *due)
{
    size_t place = due->place;
    for (size_t child; (child = place * 2) <= queue->num; place = child) {
        if (child < queue->num && queue->heap[child + 1]->at_ms < queue->heap[child]->at_ms)
            child++;
        if (queue->heap[child]->at_ms >= due->at_ms)
            break;
        due_queue_place(queue, place, queue->heap[child]);
    }
    due_queue_place(queue, place, due);
}

static void due_queue_remove(struct due_queue *queue, struct due *due)
{
    struct due *last = queue->heap[queue->num--];
    if (last != due) {
        due_queue_place(queue, due->place, last);
        due_queue_rise(queue, last);
        due_queue_sink(queue, last);
    }
    due->place = 0;
}

static void due_queue_add(struct due_queue *queue, struct due *due)
{
    if (queue->num + 2 > queue->cap) {
        queue->cap = queue->cap ? queue->cap * 2 : 64;
        queue->heap = mem_realloc(queue->heap, queue->cap * sizeof(struct due *));
    }
    due_queue_place(queue, ++queue->num, due);
    due_queue_rise(queue, due);
}

void due_queue_set(struct due_queue *queue, struct due *due, int64_t at_ms)
{
    due->at_ms = at_ms;
    if (at_ms == INT64_MAX && due->place) {
        due_queue_remove(queue, due);
    } else if (due->place) {
        due_queue_rise(queue, due);
        due_queue_sink(queue, due);
    } else if (at_ms != INT64_MAX) {
        due_queue_add(queue, due);
    }
}

struct due *due_queue_first(const struct due_queue *queue)
{
    return queue->num ? queue->heap[1] : NULL;
}
