#include "certs/keeper_internal.h"

static void keeper_state_done(struct store_call *call, enum store_result result, const struct store_record *records,
                              size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, state_call);
    size_t num = keeper->num_state_batch;
    (void)records, (void)num_records;
    keeper->num_state_batch = 0;
    if (result == STORE_OK)
        keeper_state_flush(keeper);
    for (size_t i = 0; result != STORE_OK && i < num; i++) { /* with the next change, or the next minute */
        struct list *node = &keeper->state_batch[i]->dirty;
        list_remove(node);
        list_append(&keeper->dirty, node);
    }
    keeper_sweep_leaving(keeper);
}

void keeper_state_key(const struct keeper_name *name, struct buf *out)
{
    buf_append_slice(out, SLICE_LIT("state/"));
    buf_append_slice(out, name->record);
}

/* Commits up to a batch of what is dirty; returns how many. out_names: they are being written; NULL: nobody asks. */
static size_t state_commit(struct keeper *keeper, struct keeper_name **out_names, struct store_call *call)
{
    struct buf keys[KEEPER_STATE_BATCH] = {{0}}, values[KEEPER_STATE_BATCH] = {{0}};
    struct store_write writes[KEEPER_STATE_BATCH];
    struct list *node;
    size_t num = 0;
    for (; num < KEEPER_STATE_BATCH && (node = list_first(&keeper->dirty)); num++) {
        struct keeper_name *name = container_of(node, struct keeper_name, dirty);
        list_remove(node);
        if (out_names)
            out_names[num] = name;
        keeper_state_key(name, &keys[num]);
        name_state_write(&name->state, &values[num]);
        writes[num] = (struct store_write){.key = buf_slice(&keys[num]), .value = buf_slice(&values[num])};
    }
    if (num)
        keeper->world.store->ops->commit(keeper->world.store, writes, num, call);
    for (size_t i = 0; i < num; i++) {
        buf_cleanup(&keys[i]);
        buf_cleanup(&values[i]);
    }
    return num;
}

void keeper_state_flush(struct keeper *keeper)
{
    if (keeper->writer && !keeper->stopped && !keeper->num_state_batch)
        keeper->num_state_batch = state_commit(keeper, keeper->state_batch, &keeper->state_call);
}

/* ---- the end ---- */

/* A commit that nobody waits for. */
struct state_last {
    struct list node; /* in keeper->last_states */
    struct store_call call;
};

static void state_last_done(struct store_call *call, enum store_result result, const struct store_record *records,
                            size_t num_records)
{
    struct state_last *last = container_of(call, struct state_last, call);
    (void)result, (void)records, (void)num_records;
    list_remove(&last->node);
    mem_free(last);
}

void keeper_state_flush_last(struct keeper *keeper)
{
    while (keeper->writer && !list_empty(&keeper->dirty)) {
        struct state_last *last = MEM_NEW(struct state_last);
        last->call.done = state_last_done;
        list_append(&keeper->last_states, &last->node);
        state_commit(keeper, NULL, &last->call);
    }
}

void keeper_state_stop(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    if (keeper->num_state_batch)
        store->ops->cancel(store, &keeper->state_call);
    LIST_EACH(&keeper->last_states, node)
    {
        struct state_last *last = container_of(node, struct state_last, node);
        store->ops->cancel(store, &last->call);
        list_remove(node);
        mem_free(last);
    }
}

void keeper_state_init(struct keeper *keeper)
{
    keeper->state_call.done = keeper_state_done;
    list_init(&keeper->last_states);
}

void keeper_state_dirty(struct keeper_name *name)
{
    if (list_empty(&name->dirty))
        list_append(&name->keeper->dirty, &name->dirty);
}
