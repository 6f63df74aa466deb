#include "base/log_ring.h"

#include "base/mem.h"
#include "check.h"

#include <pthread.h>
#include <sched.h>

static struct log_ring *ring_new(void)
{
    struct log_ring *ring = MEM_NEW(struct log_ring);
    ring->bytes = mem_alloc(LIMIT_LOG_RING_BYTES);
    return ring;
}

static void ring_free(struct log_ring *ring)
{
    mem_free(ring->bytes);
    mem_free(ring);
}

static void takes_all_or_nothing(void)
{
    struct log_ring *ring = ring_new();
    char *block = mem_calloc(1, LIMIT_LOG_RING_BYTES + 1);
    CHECK(!log_ring_push(ring, slice_make(block, LIMIT_LOG_RING_BYTES + 1)));
    CHECK(log_ring_peek(ring).len == 0);
    CHECK(log_ring_push(ring, slice_make(block, LIMIT_LOG_RING_BYTES)));
    CHECK(!log_ring_push(ring, SLICE_LIT("x")));
    CHECK(log_ring_push(ring, SLICE_NONE));
    CHECK_INT(log_ring_peek(ring).len, LIMIT_LOG_RING_BYTES);
    log_ring_consume(ring, 3);
    CHECK(!log_ring_push(ring, SLICE_LIT("abcd")));
    CHECK(log_ring_push(ring, SLICE_LIT("abc")));
    CHECK(!log_ring_push(ring, SLICE_LIT("x")));
    log_ring_consume(ring, LIMIT_LOG_RING_BYTES - 3);
    CHECK_SLICE(log_ring_peek(ring), "abc");
    mem_free(block);
    ring_free(ring);
}

/* The counters wrap around at SIZE_MAX without a seam. */
static void counts_wrap(void)
{
    struct log_ring *ring = ring_new();
    ring->known_tail = SIZE_MAX - 2;
    atomic_store(&ring->head, SIZE_MAX - 2);
    atomic_store(&ring->tail, SIZE_MAX - 2);
    CHECK(log_ring_push(ring, SLICE_LIT("abcdef")));
    CHECK_SLICE(log_ring_peek(ring), "abc"); /* SIZE_MAX lies at the buffer's end */
    log_ring_consume(ring, 3);
    CHECK_SLICE(log_ring_peek(ring), "def");
    log_ring_consume(ring, 3);
    CHECK_INT(log_ring_peek(ring).len, 0);
    ring_free(ring);
}

enum { STRESS_BYTES = 20 * 1000 * 1000 };

static void *produce(void *arg)
{
    struct log_ring *ring = arg;
    unsigned char chunk[997];
    for (size_t sent = 0; sent < STRESS_BYTES;) {
        size_t len = 1 + sent % sizeof chunk;
        for (size_t i = 0; i < len; i++)
            chunk[i] = (unsigned char)((sent + i) * 31 >> 3);
        while (!log_ring_push(ring, slice_make(chunk, len)))
            sched_yield();
        sent += len;
    }
    return NULL;
}

static void two_threads_pass_bytes_in_order(void)
{
    struct log_ring *ring = ring_new();
    pthread_t producer;
    size_t got = 0, num_wrong = 0;
    pthread_create(&producer, NULL, produce, ring);
    while (got < STRESS_BYTES) {
        struct slice ready = log_ring_peek(ring);
        for (size_t i = 0; i < ready.len; i++)
            num_wrong += (unsigned char)ready.ptr[i] != (unsigned char)((got + i) * 31 >> 3);
        log_ring_consume(ring, ready.len);
        got += ready.len;
        if (ready.len == 0)
            sched_yield();
    }
    pthread_join(producer, NULL);
    CHECK_INT(num_wrong, 0);
    ring_free(ring);
}

int main(void)
{
    RUN(takes_all_or_nothing);
    RUN(counts_wrap);
    RUN(two_threads_pass_bytes_in_order);
    return checks_done();
}
