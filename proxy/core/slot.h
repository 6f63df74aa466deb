/* slot: one pointer from control to a worker; the latest value wins. One of the five places where threads meet. */
#ifndef CORE_SLOT_H
#define CORE_SLOT_H

#include <stdatomic.h>
#include <stddef.h>
#include <uv.h>

struct slot {
    _Atomic(void *) value;
};

/* Control: leaves a value for the worker (its reference goes along) and wakes it. Returns what the worker has not taken,
 * which is the caller's again, or NULL. */
static inline void *slot_put(struct slot *slot, void *value, uv_async_t *wake)
{
    void *displaced = atomic_exchange_explicit(&slot->value, value, memory_order_acq_rel);
    uv_async_send(wake);
    return displaced;
}

/* Worker: what was left, or NULL. */
static inline void *slot_take(struct slot *slot)
{
    return atomic_exchange_explicit(&slot->value, NULL, memory_order_acq_rel);
}

#endif
