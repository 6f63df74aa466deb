#include "keeper_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MUST(expression)                                               \
    do {                                                               \
        if (!(expression)) {                                           \
            fprintf(stderr, "keeper_world: %s failed\n", #expression); \
            abort();                                                   \
        }                                                              \
    } while (0)

/* ---- the store, as one side sees it ---- */

struct shelf_call {
    struct list node;
    struct store_call *call;
    bool is_list;
    char prefix[32];
    enum store_result result; /* of what is no list */
};

static struct side *side_of(struct store *store)
{
    return container_of(store, struct side, store);
}

static struct store *shelf_memory(struct side *side)
{
    return &side->world->disk.memory.store;
}

static struct shelf_call *shelf_call_new(struct side *side, struct store_call *call)
{
    struct shelf_call *pending = MEM_NEW(struct shelf_call);
    pending->call = call;
    list_append(&side->calls, &pending->node);
    return pending;
}

static void shelf_end(struct side *side, struct store_call *call, enum store_result result)
{
    shelf_call_new(side, call)->result = result;
}

static bool key_is_root(struct slice key)
{
    return slice_eq(key, SLICE_LIT("internal-ca"));
}

static void shelf_get(struct store *store, struct slice key, struct store_call *call)
{
    struct side *side = side_of(store);
    struct store *memory = shelf_memory(side);
    if (key_is_root(key) && side->world->disk.root_result != STORE_OK)
        shelf_end(side, call, side->world->disk.root_result);
    else
        memory->ops->get(memory, key, call);
}

static void shelf_list(struct store *store, struct slice prefix, struct store_call *call)
{
    struct shelf_call *pending = shelf_call_new(side_of(store), call);
    pending->is_list = true;
    MUST(prefix.len < sizeof pending->prefix);
    memcpy(pending->prefix, prefix.ptr, prefix.len);
}

static void shelf_tell_others(struct side *writer, const struct store_write *writes, size_t num_writes)
{
    for (size_t i = 0; i < WORLD_MAX_SIDES; i++) {
        struct side *side = &writer->world->sides[i];
        if (side == writer || !side->watch || side->world->disk.holder == side)
            continue;
        for (size_t j = 0; j < num_writes && side->watch; j++)
            side->watch->changed(side->watch, writes[j].key);
    }
}

static void shelf_commit(struct store *store, const struct store_write *writes, size_t num_writes,
                         struct store_call *call)
{
    struct side *side = side_of(store);
    struct store *memory = shelf_memory(side);
    const struct shelf_disk *disk = &side->world->disk;
    enum store_result fault = disk->holder == side ? STORE_OK : STORE_FENCED;
    for (size_t i = 0; i < num_writes && fault == STORE_OK; i++) {
        if (slice_starts(writes[i].key, SLICE_LIT("certificate/")))
            fault = disk->save_result;
        else if (slice_starts(writes[i].key, SLICE_LIT("quarantine/")))
            fault = disk->quarantine_result;
        else if (key_is_root(writes[i].key))
            fault = disk->root_result;
    }
    if (fault != STORE_OK) {
        shelf_end(side, call, fault);
        return;
    }
    memory->ops->commit(memory, writes, num_writes, call);
    shelf_tell_others(side, writes, num_writes); /* their reads queue up behind it */
}

static void shelf_cancel(struct store *store, struct store_call *call)
{
    struct side *side = side_of(store);
    LIST_EACH(&side->calls, node)
    {
        struct shelf_call *pending = container_of(node, struct shelf_call, node);
        if (pending->call != call)
            continue;
        list_remove(node);
        mem_free(pending);
        return;
    }
    shelf_memory(side)->ops->cancel(shelf_memory(side), call);
}

static void shelf_lock(struct store *store, struct store_lock *lock)
{
    side_of(store)->lock = lock;
}

static void shelf_unlock(struct store *store)
{
    struct side *side = side_of(store);
    side->lock = NULL;
    if (side->world->disk.holder == side)
        side->world->disk.holder = NULL;
}

static void shelf_watch(struct store *store, struct store_watch *watch)
{
    side_of(store)->watch = watch;
}

static const struct store_ops shelf_ops = {.get = shelf_get,
                                           .list = shelf_list,
                                           .commit = shelf_commit,
                                           .cancel = shelf_cancel,
                                           .lock = shelf_lock,
                                           .unlock = shelf_unlock,
                                           .watch = shelf_watch};

static void shelf_answer_list(struct side *side, const struct shelf_call *pending)
{
    const struct shelf_disk *disk = &side->world->disk;
    struct store_record records[MEMORY_STORE_MAX_RECORDS];
    bool certificates = strcmp(pending->prefix, "certificate/") == 0;
    bool lost = disk->lost_prefix && strcmp(pending->prefix, disk->lost_prefix) == 0;
    enum store_result result = lost ? disk->lost_result : certificates ? disk->list_result : STORE_OK;
    size_t num = 0;
    for (size_t i = 0; i < disk->memory.num_records && !lost && !(certificates && disk->list_hides); i++) {
        const struct memory_record *record = &disk->memory.records[i];
        if (slice_starts(slice_str(record->key), slice_str(pending->prefix)))
            records[num++] = (struct store_record){slice_str(record->key), slice_make(record->value, record->value_len),
                                                   record->version};
    }
    pending->call->done(pending->call, result, num ? records : NULL, num);
}

static bool shelf_answer(struct side *side)
{
    struct list *node = list_first(&side->calls);
    if (!node)
        return false;
    struct shelf_call *pending = container_of(node, struct shelf_call, node);
    list_remove(node);
    if (pending->is_list)
        shelf_answer_list(side, pending);
    else
        pending->call->done(pending->call, pending->result, NULL, 0);
    mem_free(pending);
    return true;
}

static bool shelf_grant(struct side *side)
{
    struct shelf_disk *disk = &side->world->disk;
    if (!side->lock || disk->holder)
        return false;
    disk->holder = side;
    side->lock->granted(side->lock);
    return true;
}

/* ---- the world ---- */

static int64_t kw_wall_ms(const struct clock *clock)
{
    return container_of(clock, const struct kw, clock)->wall_ms;
}

static int64_t kw_mono_ms(const struct clock *clock)
{
    return container_of(clock, const struct kw, clock)->mono_ms;
}

/* Some worker set that has been acknowledged answers as the CA expects. */
static bool kw_served(void *ctx, const struct ca_answer *asked)
{
    struct kw *world = ctx;
    struct buf answer = {0};
    bool served = false;
    for (size_t i = 0; i < WORLD_MAX_SIDES; i++) {
        struct side *side = &world->sides[i];
        const struct certset_name *found = side->served ? certset_find(side->served, asked->name) : NULL;
        if (!found || !found->managed || keeper_state(side->keeper).acknowledged < side->served->generation)
            continue;
        answer.len = 0;
        served = served || (certset_http01(side->served, asked->token, &answer) &&
                            slice_eq(buf_slice(&answer), asked->key_authorization));
        keeper_challenge_seen(side->keeper, asked->token);
    }
    buf_cleanup(&answer);
    return served;
}

static void kw_alive(uv_async_t *async)
{
    (void)async;
}

static const char kw_behind_base[] = "https://acme-v02.api.letsencrypt.org/";

static void kw_send(struct transport *transport, const struct acme_request *request, struct transport_call *call)
{
    struct kw *world = container_of(transport, struct kw, transport);
    bool behind = slice_starts(request->url, slice_str(kw_behind_base));
    struct transport *way = behind ? &world->behind.transport : &world->ca.transport;
    way->ops->send(way, request, call);
}

static void kw_cancel(struct transport *transport, struct transport_call *call)
{
    struct kw *world = container_of(transport, struct kw, transport);
    world->ca.transport.ops->cancel(&world->ca.transport, call); /* which does not look whose it is */
}

static const struct transport_ops kw_transport_ops = {kw_send, kw_cancel};

void kw_init(struct kw *world)
{
    *world = (struct kw){.clock = {kw_wall_ms, kw_mono_ms}, .wall_ms = INT64_C(1800000000000), .mono_ms = 5000};
    MUST(uv_loop_init(&world->uv) == 0 && uv_async_init(&world->uv, &world->alive, kw_alive) == 0);
    world->loop = net_loop_new(&world->uv);
    world->log_fd = memfd_create("log", 0);
    world->log = log_new(world->log_fd, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
    world->ring = log_ring_new(world->log, "control");
    scripted_ca_init(&world->ca, &world->clock);
    scripted_ca_init(&world->behind, &world->clock);
    world->behind.base = kw_behind_base;
    world->behind.next_nonce = 1000000;
    world->ca.served = world->behind.served = kw_served;
    world->ca.served_ctx = world->behind.served_ctx = world;
    world->transport = (struct transport){&kw_transport_ops};
    memory_store_init(&world->disk.memory);
}

void kw_cleanup(struct kw *world)
{
    for (size_t i = 0; i < WORLD_MAX_SIDES; i++)
        kw_stop(&world->sides[i]);
    uv_close((uv_handle_t *)&world->alive, NULL);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    MUST(uv_loop_close(&world->uv) == 0);
    log_free(world->log);
    close(world->log_fd);
    scripted_ca_cleanup(&world->ca);
    scripted_ca_cleanup(&world->behind);
    memory_store_cleanup(&world->disk.memory);
}

static void side_publish(void *ctx, struct certset *set)
{
    struct side *side = ctx;
    MUST(!side->served || set->generation > side->served->generation);
    certset_unref(side->served);
    side->served = set;
    side->num_publications++;
    if (side->acknowledges)
        keeper_acknowledged(side->keeper, set->generation);
}

static struct config *side_config(const char *const *entries)
{
    const char *all[32] = {"PORTICO_STORAGE=/nowhere"};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    char directory[128];
    size_t num = 1;
    snprintf(directory, sizeof directory, "PORTICO_ACME_DIRECTORY=%s", scripted_ca_directory_url);
    bool given = false, terms_given = false;
    for (; *entries; entries++) {
        terms_given = terms_given || strncmp(*entries, "PORTICO_ACME_ACCEPT_TERMS=", 26) == 0;
        given = given || strncmp(*entries, "PORTICO_ACME_DIRECTORY=", 23) == 0;
        all[num++] = *entries;
    }
    if (!given)
        all[num++] = directory;
    if (!terms_given)
        all[num++] = "PORTICO_ACME_ACCEPT_TERMS=true";
    if (!config_load(all, &config, &mistakes)) {
        struct buf out = {0};
        config_mistakes_print(&mistakes, &out);
        fprintf(stderr, "%s\n", buf_cstr(&out));
        abort();
    }
    return config;
}

struct side *kw_start(struct kw *world, const char *const *entries)
{
    struct side *side = world->sides;
    struct buf mistake = {0};
    while (side->keeper)
        side++;
    *side = (struct side){.world = world, .store = {&shelf_ops}, .config = side_config(entries), .acknowledges = true};
    list_init(&side->calls);
    struct keeper_world around = {.loop = world->loop,
                                  .log = world->ring,
                                  .clock = &world->clock,
                                  .store = &side->store,
                                  .transport = &world->transport,
                                  .asker = world->asker,
                                  .ctx = side,
                                  .publish = side_publish,
                                  .look_at = world->look_at,
                                  .look_away = world->look_away};
    if (err_is(keeper_new(&around, side->config, &side->keeper, &mistake))) {
        fprintf(stderr, "keeper_world: %s\n", buf_cstr(&mistake));
        abort();
    }
    keeper_start(side->keeper);
    return side;
}

struct side *kw_start_domains(struct kw *world, const char *domains)
{
    char entry[4096];
    const char *entries[] = {entry, NULL};
    snprintf(entry, sizeof entry, "PORTICO_DOMAINS=%s", domains);
    return kw_start(world, entries);
}

bool kw_reload(struct side *side, const char *const *entries)
{
    struct keeper_change change;
    struct buf mistake = {0};
    struct config *next = side_config(entries);
    struct err err = keeper_prepare(side->keeper, next, &side->world->transport, &change, &mistake);
    if (!err_is(err))
        keeper_apply(side->keeper, &change);
    buf_cleanup(&mistake);
    config_unref(next);
    return !err_is(err);
}

bool kw_reload_domains(struct side *side, const char *domains)
{
    char entry[4096];
    const char *entries[] = {entry, NULL};
    snprintf(entry, sizeof entry, "PORTICO_DOMAINS=%s", domains);
    return kw_reload(side, entries);
}

void kw_stop(struct side *side)
{
    if (!side->keeper)
        return;
    keeper_close(side->keeper);
    uv_run(&side->world->uv, UV_RUN_NOWAIT); /* the graveyard */
    while (!list_empty(&side->calls)) {
        struct list *node = list_first(&side->calls);
        list_remove(node);
        mem_free(container_of(node, struct shelf_call, node));
    }
    side->keeper = NULL;
    certset_unref(side->served);
    side->served = NULL;
    config_unref(side->config);
}

bool kw_step(struct kw *world)
{
    bool moved = false;
    uv_run(&world->uv, UV_RUN_NOWAIT);
    for (size_t i = 0; i < WORLD_MAX_SIDES && !moved; i++) {
        struct side *side = &world->sides[i];
        moved = side->keeper && (shelf_grant(side) || shelf_answer(side));
    }
    return moved || memory_store_answer(&world->disk.memory) || scripted_ca_answer(&world->ca) ||
           scripted_ca_answer(&world->behind) || !list_empty(&world->loop->deferred);
}

void kw_rest(struct kw *world)
{
    for (int i = 0; i < 200000; i++)
        if (!kw_step(world))
            return;
    abort(); /* never comes to rest */
}

static int64_t kw_next_ms(const struct kw *world, int64_t until_ms)
{
    int64_t next_ms = until_ms;
    for (size_t i = 0; i < WORLD_MAX_SIDES; i++) {
        const struct keeper *keeper = world->sides[i].keeper;
        for (size_t rank = 0; keeper && rank < NUM_ISSUERS; rank++)
            if (keeper->issuers[rank].alarm.due_ms < next_ms)
                next_ms = keeper->issuers[rank].alarm.due_ms;
        if (keeper && keeper->rehearsal && keeper->rehearsal->alarm.due_ms < next_ms)
            next_ms = keeper->rehearsal->alarm.due_ms;
        if (keeper && keeper->look.due_ms < next_ms)
            next_ms = keeper->look.due_ms;
    }
    return next_ms;
}

/* To the next thing that is due. */
static void kw_tick(struct kw *world, int64_t until_ms)
{
    int64_t step_ms = kw_next_ms(world, until_ms) - world->mono_ms;
    step_ms = step_ms > 0 ? step_ms : 1;
    world->mono_ms += step_ms;
    world->wall_ms += step_ms;
    for (size_t i = 0; i < WORLD_MAX_SIDES; i++)
        if (world->sides[i].keeper) {
            for (size_t rank = 0; rank < NUM_ISSUERS; rank++)
                alarm_check(&world->sides[i].keeper->issuers[rank].alarm);
            if (world->sides[i].keeper->rehearsal)
                alarm_check(&world->sides[i].keeper->rehearsal->alarm);
            alarm_check(&world->sides[i].keeper->look);
        }
}

void kw_tick_to_next(struct kw *world)
{
    kw_tick(world, world->mono_ms + 60000);
}

void kw_pass(struct kw *world, int64_t ms)
{
    int64_t until_ms = world->mono_ms + ms;
    kw_rest(world);
    while (world->mono_ms < until_ms) {
        kw_tick(world, until_ms);
        kw_rest(world);
    }
}

void kw_until(struct kw *world, const bool *condition)
{
    for (int i = 0; i < 200000 && !*condition; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT); /* what it begins, a step may end */
        if (!*condition && !kw_step(world))
            kw_tick(world, world->mono_ms + 1000);
    }
    if (!*condition)
        abort(); /* it never came */
}

void kw_wait_real(struct kw *world, int64_t ms)
{
    for (uint64_t end_ms = uv_hrtime() / 1000000 + (uint64_t)ms; uv_hrtime() / 1000000 < end_ms; usleep(10000))
        kw_rest(world);
}

unsigned kw_logged(const struct kw *world, const char *text, const char *and)
{
    off_t len = lseek(world->log_fd, 0, SEEK_END);
    char *all = mem_calloc(1, (size_t)len + 1);
    unsigned num = 0;
    MUST(pread(world->log_fd, all, (size_t)len, 0) == len);
    for (char *line = all, *end; *line; line = end) {
        end = strchr(line, '\n');
        end = end ? end : line + strlen(line);
        char kept = *end;
        *end = '\0';
        num += strstr(line, text) && (!and || strstr(line, and));
        end += kept != '\0';
    }
    mem_free(all);
    return num;
}

const struct cert *side_serves(const struct side *side, const char *name)
{
    const struct certset_name *found = side->served ? certset_find(side->served, slice_str(name)) : NULL;
    return found ? found->cert : NULL;
}

struct view_search {
    struct slice name;
    struct keeper_name_view found;
};

static void view_compare(void *ctx, const struct keeper_name_view *view)
{
    struct view_search *search = ctx;
    if (!search->found.name.ptr && slice_eq(view->name, search->name))
        search->found = *view;
}

struct keeper_name_view side_view(const struct side *side, const char *name)
{
    struct view_search search = {.name = slice_str(name)};
    keeper_each(side->keeper, view_compare, &search);
    return search.found;
}
