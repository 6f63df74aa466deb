#include "base/log_ring.h"

_Static_assert((LIMIT_LOG_RING_BYTES & (LIMIT_LOG_RING_BYTES - 1)) == 0, "offsets are masked");

static size_t ring_free(struct log_ring *ring, size_t head, size_t need)
{
    if (LIMIT_LOG_RING_BYTES - (head - ring->known_tail) < need)
        ring->known_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return LIMIT_LOG_RING_BYTES - (head - ring->known_tail);
}

bool log_ring_push(struct log_ring *ring, struct slice lines)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (lines.len == 0 || ring_free(ring, head, lines.len) < lines.len)
        return lines.len == 0;
    size_t at = head & (LIMIT_LOG_RING_BYTES - 1), to_end = LIMIT_LOG_RING_BYTES - at;
    struct slice first = slice_first(lines, to_end), rest = slice_skip(lines, first.len);
    memcpy(ring->bytes + at, first.ptr, first.len);
    memcpy(ring->bytes, rest.ptr, rest.len);
    /* Sequentially consistent: ordered against the look at `asleep` that follows it, see log_wake. */
    atomic_store(&ring->head, head + lines.len);
    return true;
}

struct slice log_ring_peek(const struct log_ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t len = atomic_load(&ring->head) - tail;
    size_t at = tail & (LIMIT_LOG_RING_BYTES - 1), to_end = LIMIT_LOG_RING_BYTES - at;
    return slice_make(ring->bytes + at, len < to_end ? len : to_end);
}

void log_ring_consume(struct log_ring *ring, size_t len)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + len, memory_order_release);
}
