#include "acme/renewal.h"
#include "certs/keeper_internal.h"
#include "store/cert_record.h"

enum {
    DEMAND_ASK_AGAIN_MS = 60 * 60 * 1000, /* about a name that is allowed no more, while its certificate lasts */
    DEMAND_UNKNOWN_MS = 10 * 60 * 1000,   /* where nobody answered about a renewal */
    DEMAND_MOST_FAILURES = 5              /* in a row, of a name that has had no certificate yet */
};

static bool keeper_is_on_demand(const struct keeper *keeper)
{
    return keeper->demand.demand && keeper->config->on_demand_ask.len;
}

bool config_orders_on_demand(const struct config *config)
{
    return config->on_demand_ask.len && config->acme.kind != CONFIG_DIRECTORY_INTERNAL;
}

/* ---- a new name ---- */

static void demand_load_next(struct keeper *keeper);

static void demand_load_key(struct keeper *keeper, struct slice prefix)
{
    struct keeper_demand *own = &keeper->demand;
    own->key.len = 0;
    buf_append_slice(&own->key, prefix);
    buf_append_slice(&own->key, own->loading_name->record);
    keeper->world.store->ops->get(keeper->world.store, buf_slice(&own->key), &own->load_call);
}

/* What the store has of it counts: a certificate of an earlier time, and above all the back-off. */
static void demand_load_done(struct store_call *call, enum store_result result, const struct store_record *records,
                             size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, demand.load_call);
    struct keeper_demand *own = &keeper->demand;
    struct keeper_name *name = own->loading_name;
    bool found = result == STORE_OK && num_records == 1;
    own->load_busy = false;
    if (name && own->loads_state) {
        if (found)
            keeper_take_state(name, records[0].value);
        name->fresh = false;
        keeper_look_soon(name);
    } else if (name) {
        if (found)
            keeper_take_record(name, records[0].value);
        name->unreadable = name->unreadable || (result != STORE_OK && result != STORE_NOT_FOUND);
        own->load_busy = own->loads_state = true;
        demand_load_key(keeper, SLICE_LIT("state/"));
        return;
    }
    demand_load_next(keeper);
}

static void demand_load_next(struct keeper *keeper)
{
    struct keeper_demand *own = &keeper->demand;
    struct list *node = own->load_busy ? NULL : list_first(&own->loading);
    if (!node)
        return;
    own->loading_name = container_of(node, struct keeper_name, demand_loading);
    list_remove(node);
    own->load_busy = true;
    own->loads_state = false;
    demand_load_key(keeper, SLICE_LIT("certificate/"));
}

static void demand_allowed(void *ctx, struct slice text)
{
    struct keeper *keeper = ctx;
    if (map_get(&keeper->by_name, text))
        return;
    struct keeper_name *name = keeper_add_on_demand(keeper, text);
    LOG_INFO_EVENT(keeper->world.log, "on_demand_added", LOG_SLICE("name", text),
                   LOG_INT("names", keeper->demand.num_names));
    for (struct keeper_name *line = name; line; line = line == name ? name->other : NULL) {
        line->allowed_ms = keeper_mono_ms(keeper);
        if (line->fresh)
            list_append(&keeper->demand.loading, &line->demand_loading);
        keeper_look_soon(line);
    }
    demand_load_next(keeper);
}

static size_t demand_num_names(void *ctx)
{
    return ((struct keeper *)ctx)->demand.num_names;
}

void keeper_name_wanted(struct keeper *keeper, struct slice name, struct slice client)
{
    bool ready = keeper->writer && keeper->loaded && !keeper->stopped && !keeper->closing && keeper->readable;
    if (ready && keeper_is_on_demand(keeper) && !map_get(&keeper->by_name, name))
        demand_want(keeper->demand.demand, name, client);
}

/* ---- one that is stored ---- */

struct keeper_name *keeper_demand_find_record(struct keeper *keeper, struct slice record, struct slice value)
{
    struct arena arena = {0};
    struct cert_record read;
    struct keeper_name *name = NULL;
    if (!keeper_is_on_demand(keeper) || keeper->demand.num_names >= LIMIT_DEMAND_NAMES)
        return NULL;
    if (!err_is(cert_record_read(&arena, value, &read)) && read.on_demand && read.num_names == 1 &&
        demand_name_is_sound(read.names[0]) && slice_starts(record, read.names[0])) {
        if (!map_get(&keeper->by_name, read.names[0]))
            keeper_add_on_demand(keeper, read.names[0]);
        name = map_get(&keeper->by_name, record);
    }
    arena_cleanup(&arena);
    return name;
}

/* ---- one that is to be ordered again ---- */

static bool name_is_good(const struct keeper_name *name)
{
    return name_has_issued(name) && keeper_wall_ms(name->keeper) < name->cert->not_after_s * 1000;
}

static void name_drop(struct keeper_name *name, const char *reason)
{
    struct keeper *keeper = name->keeper;
    if (name->dropped)
        return;
    name->dropped = true;
    LOG_INFO_EVENT(keeper->world.log, "on_demand_removed", LOG_SLICE("name", name->text), LOG_STR("reason", reason));
    deferred_start(keeper->world.loop, &keeper->demand.sweep);
}

static void name_deny(struct keeper_name *name)
{
    struct keeper *keeper = name->keeper;
    if (!name_is_good(name)) {
        name_drop(name, "PORTICO_ON_DEMAND_ASK does not allow it any more");
        return;
    }
    LOG_WARN_EVENT(keeper->world.log, "on_demand_denied", LOG_SLICE("name", name->text),
                   LOG_STR("msg", "PORTICO_ON_DEMAND_ASK does not allow the name any more: its certificate is served "
                                  "until it ends, and is not renewed"));
    int64_t again_ms = keeper_wall_ms(keeper) + DEMAND_ASK_AGAIN_MS, end_ms = name->cert->not_after_s * 1000;
    name->ask_at_ms = again_ms < end_ms ? again_ms : end_ms;
}

static void name_reviewed(struct demand_review *review, enum demand_answer answer)
{
    struct keeper_name *name = container_of(review, struct keeper_name, review);
    struct keeper *keeper = name->keeper;
    int64_t now_ms = keeper_wall_ms(keeper);
    bool emergency =
        name_is_good(name) && renewal_is_emergency(name->cert->not_before_s, name->cert->not_after_s, now_ms / 1000);
    name->reviewing = false;
    if (answer == DEMAND_YES ||
        (answer == DEMAND_UNKNOWN && emergency)) /* a certificate in use does not lapse for that */
        name->allowed_ms = keeper_mono_ms(keeper);
    else if (answer == DEMAND_UNKNOWN)
        name->ask_at_ms = now_ms + DEMAND_UNKNOWN_MS;
    else
        name_deny(name);
    keeper_look_soon(name);
}

static bool name_is_allowed(const struct keeper_name *name)
{
    return name->allowed_ms && keeper_mono_ms(name->keeper) - name->allowed_ms < LIMIT_DEMAND_YES_MS;
}

int64_t keeper_demand_allows_ms(struct keeper_name *name, int64_t now_ms)
{
    if (!name->on_demand || name_is_allowed(name))
        return 0;
    if (!keeper_is_on_demand(name->keeper) || name->dropped || name->reviewing)
        return INT64_MAX; /* whatever ends that looks again */
    if (!name_has_issued(name) && name->state.backoff.num_failures >= DEMAND_MOST_FAILURES) {
        name_drop(name, "it has had no certificate after several attempts");
        return INT64_MAX;
    }
    if (now_ms < name->ask_at_ms && name->ask_at_ms <= now_ms + DEMAND_ASK_AGAIN_MS)
        return name->ask_at_ms;
    name->reviewing = true;
    name->review.done = name_reviewed;
    demand_review_start(name->keeper->demand.demand, name->text, &name->review);
    return name->reviewing || !name_is_allowed(name) ? INT64_MAX : 0; /* name_reviewed looks again */
}

/* ---- names that go ---- */

void keeper_demand_let_go(struct keeper_name *name)
{
    struct keeper_demand *own = &name->keeper->demand;
    list_remove(&name->demand_loading);
    if (own->loading_name == name)
        own->loading_name = NULL;
    if (name->reviewing && own->demand)
        demand_review_cancel(&name->review);
    name->reviewing = false;
}

static void demand_forgot(struct store_call *call, enum store_result result, const struct store_record *records,
                          size_t num_records)
{
    (void)result, (void)records, (void)num_records; /* one that is left is asked about at the next start */
    container_of(call, struct keeper, demand.forget_call)->demand.forget_busy = false;
}

/* Its certificate is of no use to anybody. */
static void demand_forget_record(struct keeper_name *name)
{
    struct keeper *keeper = name->keeper;
    struct keeper_demand *own = &keeper->demand;
    struct buf key = {0};
    if (!name->record_generation || own->forget_busy || !keeper->writer || keeper->stopped)
        return;
    buf_append_str(&key, "certificate/");
    buf_append_slice(&key, name->record);
    struct store_write write = {.key = buf_slice(&key), .value = SLICE_NONE};
    own->forget_busy = true;
    keeper->world.store->ops->commit(keeper->world.store, &write, 1, &own->forget_call);
    buf_cleanup(&key);
}

static void demand_sweeps(struct deferred *deferred)
{
    struct keeper *keeper = container_of(deferred, struct keeper, demand.sweep);
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct keeper_name *name = keeper->names[i];
        if (name->other && name->other->dropped)
            name->dropped = true;
        if (name->dropped)
            demand_forget_record(name);
    }
    keeper_remove_dropped(keeper);
    keeper_state_flush(keeper);
    keeper_sweep_leaving(keeper);
}

/* ---- life ---- */

void keeper_demand_apply(struct keeper *keeper, struct slice url_before)
{
    struct asker *asker = keeper->world.asker;
    struct slice url = keeper->config->on_demand_ask;
    if (!asker || slice_eq(url, url_before))
        return;
    asker->set_url(asker, url);
    demand_forget(keeper->demand.demand);
    if (url.len && !url_before.len && keeper->loaded)
        keeper_load_again(keeper); /* names of an earlier time */
}

void keeper_demand_init(struct keeper *keeper)
{
    struct keeper_demand *own = &keeper->demand;
    struct demand_world world = {.clock = keeper->world.clock,
                                 .log = keeper->world.log,
                                 .asker = keeper->world.asker,
                                 .ctx = keeper,
                                 .allowed = demand_allowed,
                                 .num_names = demand_num_names};
    own->load_call.done = demand_load_done;
    own->forget_call.done = demand_forgot;
    list_init(&own->loading);
    deferred_init(&own->sweep, demand_sweeps);
    if (!world.asker)
        return;
    own->demand = demand_new(&world);
    world.asker->set_url(world.asker, keeper->config->on_demand_ask);
}

void keeper_demand_stop(struct keeper *keeper)
{
    struct keeper_demand *own = &keeper->demand;
    struct store *store = keeper->world.store;
    if (own->load_busy)
        store->ops->cancel(store, &own->load_call);
    if (own->forget_busy)
        store->ops->cancel(store, &own->forget_call);
    own->load_busy = own->forget_busy = false;
    own->loading_name = NULL;
    deferred_stop(&own->sweep);
    demand_free(own->demand);
    own->demand = NULL;
    buf_cleanup(&own->key);
}
