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

void keeper_state_flush(struct keeper *keeper)
{
    struct buf keys[KEEPER_STATE_BATCH] = {{0}}, values[KEEPER_STATE_BATCH] = {{0}};
    struct store_write writes[KEEPER_STATE_BATCH];
    struct list *node;
    size_t num = 0;
    if (!keeper->writer || keeper->stopped || keeper->num_state_batch)
        return;
    for (; num < KEEPER_STATE_BATCH && (node = list_first(&keeper->dirty)); num++) {
        struct keeper_name *name = container_of(node, struct keeper_name, dirty);
        list_remove(node);
        keeper->state_batch[num] = name;
        keeper_state_key(name, &keys[num]);
        name_state_write(&name->state, &values[num]);
        writes[num] = (struct store_write){.key = buf_slice(&keys[num]), .value = buf_slice(&values[num])};
    }
    keeper->num_state_batch = num;
    if (num)
        keeper->world.store->ops->commit(keeper->world.store, writes, num, &keeper->state_call);
    for (size_t i = 0; i < num; i++) {
        buf_cleanup(&keys[i]);
        buf_cleanup(&values[i]);
    }
}

void keeper_state_init(struct keeper *keeper)
{
    keeper->state_call.done = keeper_state_done;
}

void keeper_state_dirty(struct keeper_name *name)
{
    if (list_empty(&name->dirty))
        list_append(&name->keeper->dirty, &name->dirty);
}
