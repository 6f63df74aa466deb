#include "scripted_world.h"

#include "acme/chain.h"
#include "base/mem.h"
#include "memory_store.h"
#include "scripted_ca.h"

#include <stdio.h>

struct world_publication {
    struct list node;
    struct acme_publication *publication;
    bool acknowledged;
};

static int64_t world_wall_ms(const struct clock *clock)
{
    return container_of(clock, const struct scripted_world, clock)->wall_ms;
}

static int64_t world_mono_ms(const struct clock *clock)
{
    return container_of(clock, const struct scripted_world, clock)->mono_ms;
}

void world_wake_at(void *ctx, int64_t mono_ms)
{
    ((struct scripted_world *)ctx)->wake_ms = mono_ms;
}

static void world_publish(void *ctx, struct acme_publication *publication)
{
    struct scripted_world *world = ctx;
    struct world_publication *entry = MEM_NEW(struct world_publication);
    entry->publication = publication;
    publication->pending = entry;
    list_append(&world->publications, &entry->node);
    world->num_published++;
    world->last_challenge = publication->challenge;
    snprintf(world->last_name, sizeof world->last_name, "%.*s", (int)publication->name.len, publication->name.ptr);
}

static void world_withdraw(void *ctx, struct acme_publication *publication)
{
    struct world_publication *entry = publication->pending;
    ((struct scripted_world *)ctx)->num_withdrawn++;
    list_remove(&entry->node);
    mem_free(entry);
}

static void world_account_known(void *ctx, struct slice thumbprint)
{
    struct scripted_world *world = ctx;
    snprintf(world->thumbprint, sizeof world->thumbprint, "%.*s", (int)thumbprint.len, thumbprint.ptr);
    world->num_announced++;
}

/* The record names the account; the answers of the other kinds know nothing of it but its URL. */
static bool world_names_account(const struct scripted_world *world, const struct acme_publication *publication,
                                const struct ca_answer *answer)
{
    const struct challenge_account *account = &publication->account;
    const char *prefix = world->ca.account_hash_prefix;
    bool persists = answer->challenge == ACME_DNS_PERSIST_01;
    return slice_eq(account->url, answer->account_url) &&
           slice_eq(account->thumbprint, persists ? answer->thumbprint : SLICE_NONE) &&
           slice_eq(account->hash_prefix, slice_str(persists && prefix ? prefix : "")) &&
           (publication->num_issuer_names > 0) == persists;
}

static bool world_answers(const struct scripted_world *world, const struct acme_publication *publication,
                          const struct ca_answer *answer)
{
    return publication->challenge == answer->challenge && slice_eq(publication->name, answer->name) &&
           slice_eq(publication->token, answer->token) &&
           slice_eq(publication->key_authorization, answer->key_authorization) &&
           slice_eq(publication->dns_value, answer->dns_value) && world_names_account(world, publication, answer);
}

static bool world_serves(void *ctx, const struct ca_answer *answer)
{
    struct scripted_world *world = ctx;
    LIST_EACH(&world->publications, node)
    {
        const struct world_publication *entry = container_of(node, struct world_publication, node);
        if (entry->acknowledged && world_answers(world, entry->publication, answer)) {
            if (world->shows_seen)
                entry->publication->seen(entry->publication);
            return true;
        }
    }
    return false;
}

/* --- keys --- */

struct world_key_job {
    struct list node;
    enum key_type type;
    struct acme_key_job *job;
};

static void world_make_key(void *ctx, enum key_type type, struct acme_key_job *job)
{
    struct scripted_world *world = ctx;
    struct world_key_job *entry = MEM_NEW(struct world_key_job);
    entry->type = type;
    entry->job = job;
    job->pending = entry;
    list_append(&world->key_jobs, &entry->node);
}

static void world_cancel_key(void *ctx, struct acme_key_job *job)
{
    struct world_key_job *entry = job->pending;
    ((struct scripted_world *)ctx)->num_keys_canceled++;
    list_remove(&entry->node);
    mem_free(entry);
}

static bool world_finish_key(struct scripted_world *world)
{
    struct list *node = list_first(&world->key_jobs);
    if (!node)
        return false;
    struct world_key_job *entry = container_of(node, struct world_key_job, node);
    struct acme_key_job *job = entry->job;
    struct evp_pkey_st *key = NULL;
    struct err err = world->keys_fail ? err_make(ERR_LIMIT, 0, "queue of keys") : ERR_OK;
    if (!err_is(err) && world->given_key)
        key = key_ref(world->given_key);
    else if (!err_is(err))
        err = key_generate(entry->type, &key);
    list_remove(node);
    mem_free(entry);
    world->num_keys++;
    job->done(job, key, err);
    return true;
}

/* As the keeper does: the certificate in, the journal out, in one commit. */
static void world_keep(struct scripted_world *world, const struct world_order *wanted, const struct acme_result *result)
{
    struct buf key = {0}, value = {0};
    if (wanted->keeper_fails)
        return;
    buf_printf(&key, "certificate/%.*s", (int)wanted->names[0].len, wanted->names[0].ptr);
    buf_append_slice(&value, result->chain_pem);
    buf_append_slice(&value, result->key_pem);
    memory_store_put(&world->store, buf_slice(&key), buf_slice(&value));
    memory_store_put(&world->store, result->journal_key, SLICE_NONE);
    buf_cleanup(&key);
    buf_cleanup_secret(&value);
}

static void world_done(struct acme_order *order, const struct acme_result *result, void *ctx)
{
    struct world_order *wanted = ctx;
    if (wanted->order != order)
        __builtin_trap();
    wanted->order = NULL;
    wanted->num_done++;
    wanted->issued = result->issued;
    wanted->done_ms = wanted->world->wall_ms;
    wanted->replaced = result->replaced;
    wanted->class = result->problem.class;
    wanted->status = result->problem.status;
    wanted->retry_after_ms = result->problem.retry_after_ms;
    snprintf(wanted->step, sizeof wanted->step, "%s", result->step ? result->step : "");
    snprintf(wanted->type, sizeof wanted->type, "%.*s", (int)result->problem.type.len,
             result->problem.type.len ? result->problem.type.ptr : "");
    snprintf(wanted->challenge, sizeof wanted->challenge, "%.*s", (int)result->challenge_type.len,
             result->challenge_type.len ? result->challenge_type.ptr : "");
    snprintf(wanted->sentence, sizeof wanted->sentence, "%.*s", (int)result->sentence.len,
             result->sentence.len ? result->sentence.ptr : "");
    snprintf(wanted->profile, sizeof wanted->profile, "%.*s", (int)result->profile.len,
             result->profile.len ? result->profile.ptr : "");
    if (!result->issued)
        return;
    wanted->key_type = key_type_of(result->key);
    snprintf(wanted->chain, sizeof wanted->chain, "%.*s", (int)result->chain->top_issuer.len,
             result->chain->top_issuer.ptr);
    world_keep(wanted->world, wanted, result);
}

void world_order_again(struct world_order *wanted)
{
    struct acme_order_spec spec = wanted->world->spec;
    if (!spec.record.len)
        spec.record = wanted->names[0];
    spec.names = wanted->names;
    spec.num_names = wanted->num_names;
    spec.done = world_done;
    spec.ctx = wanted;
    wanted->order = acme_order_new(wanted->world->acme, &spec);
}

struct world_order *world_order(struct scripted_world *world, const char *name, ...)
{
    struct world_order *wanted = &world->orders[world->num_orders++];
    va_list args;
    va_start(args, name);
    *wanted = (struct world_order){.world = world};
    for (const char *at = name; at && wanted->num_names < WORLD_MAX_NAMES; at = va_arg(args, const char *))
        wanted->names[wanted->num_names++] = slice_str(at);
    va_end(args);
    world_order_again(wanted);
    return wanted;
}

void world_start_engine(struct scripted_world *world)
{
    struct acme_world surroundings = {
        .transport = &world->ca.transport,
        .store = &world->store.store,
        .clock = &world->clock,
        .ctx = world,
        .wake_at = world_wake_at,
        .publish = world_publish,
        .withdraw = world_withdraw,
        .account_known = world_account_known,
        .make_key = world->makes_keys ? world_make_key : NULL,
        .cancel_key = world_cancel_key,
    };
    world->wake_ms = INT64_MAX;
    if (err_is(acme_new(&surroundings, &world->options, &world->acme)))
        __builtin_trap();
}

void world_init(struct scripted_world *world)
{
    *world = (struct scripted_world){
        .clock = {world_wall_ms, world_mono_ms}, .mono_ms = 5000, .wall_ms = INT64_C(1800000000000)};
    list_init(&world->publications);
    list_init(&world->key_jobs);
    scripted_ca_init(&world->ca, &world->clock);
    world->ca.served = world_serves;
    world->ca.served_ctx = world;
    memory_store_init(&world->store);
    world->options = (struct acme_options){.directory_url = slice_str(scripted_ca_directory_url), .accept_terms = true};
}

void world_kill_engine(struct scripted_world *world)
{
    acme_free(world->acme);
    world->acme = NULL;
    for (size_t i = 0; i < world->num_orders; i++)
        world->orders[i].order = NULL;
}

void world_cleanup(struct scripted_world *world)
{
    world_kill_engine(world);
    if (!list_empty(&world->publications) || !list_empty(&world->key_jobs))
        __builtin_trap(); /* not withdrawn, not canceled */
    scripted_ca_cleanup(&world->ca);
    memory_store_cleanup(&world->store);
}

static bool world_acknowledge(struct scripted_world *world)
{
    LIST_EACH(&world->publications, node)
    {
        struct world_publication *entry = container_of(node, struct world_publication, node);
        if (entry->acknowledged || world->publish_hangs)
            continue;
        entry->acknowledged = true;
        struct err err = world->publish_fails ? err_make(ERR_TIMEOUT, 0, "publish") : ERR_OK;
        entry->publication->done(entry->publication, err);
        return true;
    }
    return false;
}

static bool world_note_kill(struct scripted_world *world)
{
    world->order_noted_at_kill = false;
    for (size_t i = 0; i < world->store.num_records; i++)
        if (memmem(world->store.records[i].value, world->store.records[i].value_len, "\"order\":", 8))
            world->order_noted_at_kill = true;
    world->ca_orders_at_kill = world->ca.num_orders;
    return true;
}

void world_crash(struct scripted_world *world)
{
    world_note_kill(world);
    world->num_kills++;
    world_kill_engine(world);
    world_start_engine(world);
    for (size_t i = 0; i < world->num_orders; i++)
        if (!world->orders[i].issued)
            world_order_again(&world->orders[i]);
}

bool world_turn(struct scripted_world *world)
{
    bool work = !list_empty(&world->store.pending) || !list_empty(&world->ca.pending) || !list_empty(&world->key_jobs);
    if (!work && world_acknowledge(world))
        return true;
    if (memory_store_answer(&world->store) || world_finish_key(world) || scripted_ca_answer(&world->ca))
        return true;
    if (world->wake_ms == INT64_MAX)
        return false;
    if (world->wake_ms > world->mono_ms) {
        world->wall_ms += world->wake_ms - world->mono_ms;
        world->mono_ms = world->wake_ms;
    }
    world->wake_ms = INT64_MAX;
    acme_wake(world->acme);
    return true;
}

void world_run(struct scripted_world *world, uint64_t max_events)
{
    for (uint64_t i = 0; i < max_events; i++) {
        if (++world->num_events == world->kill_at)
            world_crash(world);
        world->wall_ms += world->step_skew_ms;
        if (!world_turn(world))
            return;
    }
    __builtin_trap(); /* never comes to rest */
}
