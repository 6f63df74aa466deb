#include "base/mem.h"
#include "upstream/pool_internal.h"

enum {
    EJECT_FAILURES = 5, /* requests in a row that failed before an answer's head */
    EJECT_FIRST_MS = 1000,
    EJECT_LONGEST_MS = 60000,
    EJECT_JITTER_PERCENT = 10,
    PLACE_CHECK_MS = 1000
};

/* ---- the backends ---- */

struct backend *backend_of(struct pool *pool, const struct config_upstream *upstream)
{
    struct backend *backend = map_get(&pool->backends, upstream->text);
    if (backend)
        return backend;
    backend = MEM_NEW(struct backend);
    backend->pool = pool;
    backend->protocol = upstream->protocol;
    backend->text = slice_make(mem_dup(upstream->text.ptr, upstream->text.len), upstream->text.len);
    backend->host =
        slice_make(mem_dup(upstream->host.ptr ? upstream->host.ptr : "", upstream->host.len), upstream->host.len);
    list_init(&backend->idle);
    list_init(&backend->sessions);
    list_init(&backend->shared_dials);
    map_put(&pool->backends, upstream->text, backend);
    return backend;
}

void backend_free(struct backend *backend)
{
    mem_free((char *)backend->text.ptr);
    mem_free((char *)backend->host.ptr);
    mem_free(backend);
}

/* ---- where they are ---- */

struct pool_place backend_place(const struct backend *backend, const struct address *address)
{
    struct pool_place place = {.checked_ms = net_loop_now_ms(backend->pool->loop)};
    place.named = backend->host.len && address_ip(address, &place.ip);
    return place;
}

static bool answer_has(const struct resolve_answer *answer, const struct ip *ip)
{
    struct ip other;
    for (size_t i = 0; i < answer->num; i++)
        if (address_ip(&answer->addresses[i], &other) && memcmp(&other, ip, sizeof other) == 0)
            return true;
    return false;
}

static void place_ignore(struct resolve_wait *wait, const struct resolve_answer *answer)
{
    (void)wait, (void)answer;
}

bool backend_addresses(struct backend *backend, struct resolve_answer *out_answer)
{
    struct resolve_wait wait;
    if (backend->host.len == 0 || !backend->pool->resolver)
        return false;
    resolve_wait_init(&wait, place_ignore);
    bool known = resolver_ask(backend->pool->resolver, backend->host, &wait, out_answer);
    resolve_wait_cancel(&wait);
    return known && out_answer->num > 0;
}

bool backend_still_at(struct backend *backend, struct pool_place *place)
{
    uint64_t now_ms = net_loop_now_ms(backend->pool->loop);
    struct resolve_answer answer;
    if (!place->named || now_ms < place->checked_ms + PLACE_CHECK_MS)
        return true;
    place->checked_ms = now_ms;
    return !backend_addresses(backend, &answer) || answer_has(&answer, &place->ip);
}

/* ---- ejected, and back ---- */

/* Backends and workers must not come back all at once. */
static uint64_t backend_jitter(struct pool *pool, uint64_t ms)
{
    pool->random = pool->random * 6364136223846793005u + 1442695040888963407u;
    uint64_t span = ms * 2 * EJECT_JITTER_PERCENT / 100 + 1;
    return ms - span / 2 + (pool->random >> 33) % span;
}

static bool backend_ejected(const struct backend *backend)
{
    return backend->down || backend->state != BACKEND_HEALTHY;
}

static void backend_log_ejected(struct backend *backend, const char *why)
{
    counters_add(backend->pool->counters, COUNTER_UPSTREAM_EJECTIONS, 1);
    LOG_WARN_EVENT(backend->pool->log, "upstream_ejected", LOG_SLICE("upstream", backend->text), LOG_STR("reason", why),
                   LOG_INT("for_ms", backend->down ? 0 : backend->back_off_ms));
}

static void backend_log_returned(struct backend *backend)
{
    counters_add(backend->pool->counters, COUNTER_UPSTREAM_RETURNS, 1);
    LOG_INFO_EVENT(backend->pool->log, "upstream_returned", LOG_SLICE("upstream", backend->text));
}

static void backend_leave_alone(struct backend *backend, uint64_t ms)
{
    backend->back_off_ms = ms < EJECT_LONGEST_MS ? ms : EJECT_LONGEST_MS;
    backend->ejected_until_ms =
        net_loop_now_ms(backend->pool->loop) + backend_jitter(backend->pool, backend->back_off_ms);
}

/* Told of once, not per request: what fails while it is ejected was on its way, or had no other choice. */
static void backend_eject(struct backend *backend, const char *why)
{
    bool known = backend_ejected(backend);
    if (backend->state == BACKEND_EJECTED)
        return;
    backend_leave_alone(backend, backend->state == BACKEND_TRIAL ? 2 * backend->back_off_ms : EJECT_FIRST_MS);
    backend->state = BACKEND_EJECTED;
    backend->asked = false;
    backend->asked_turn = backend->pool->turn;
    if (!known)
        backend_log_ejected(backend, why);
}

static void backend_return(struct backend *backend)
{
    backend->state = BACKEND_HEALTHY;
    if (!backend->down)
        backend_log_returned(backend);
}

void backend_set_down(struct backend *backend, bool down)
{
    bool known = backend_ejected(backend);
    backend->down = down;
    if (!down)
        backend->state = BACKEND_HEALTHY;
    if (known && !down)
        backend_log_returned(backend);
    if (!known && down)
        backend_log_ejected(backend, "health");
    if (!down)
        pool_room(backend->pool);
}

void backend_reached(struct backend *backend)
{
    backend->refused = false;
    backend->reach.reached_ms = net_loop_now_ms(backend->pool->loop);
}

void pool_answered(struct backend *backend)
{
    backend->num_failures = 0;
    backend_reached(backend);
    if (backend->state != BACKEND_HEALTHY && backend->asked) /* else: of a request from before it was ejected */
        backend_return(backend);
}

void pool_failed(const struct pool_wait *wait, struct backend *backend)
{
    if (wait->group->num_upstreams == 1)
        return;
    if (++backend->num_failures >= EJECT_FAILURES || backend->state == BACKEND_TRIAL)
        backend_eject(backend, "failures");
}

void backend_refused(struct backend *backend, bool several)
{
    backend->refused = true;
    backend->reach.refused_ms = net_loop_now_ms(backend->pool->loop);
    if (several)
        backend_eject(backend, "connect");
}

/* ---- choosing ---- */

bool backend_has_room(const struct backend *backend, const struct pool_wait *wait)
{
    uint32_t max_conns = wait->config->upstream.max_conns;
    if (max_conns == 0 || backend->num_open < max_conns || backend->num_idle)
        return true;
    return backend->protocol == CONFIG_PROTOCOL_HTTP2 &&
           (pool_dial_shared(backend, wait->preamble) || pool_h2_has_room(backend, wait->preamble));
}

/* Lower is better. */
enum choice { CHOICE_TRIAL, CHOICE_HEALTHY, CHOICE_AVOIDED, CHOICE_EJECTED, CHOICE_NONE };

static enum choice backend_choice(const struct backend *backend, const struct pool_wait *wait)
{
    bool due = net_loop_now_ms(wait->pool->loop) >= backend->ejected_until_ms;
    if (!backend_has_room(backend, wait))
        return CHOICE_NONE;
    if (backend->down)
        return CHOICE_EJECTED;
    if (backend->state != BACKEND_HEALTHY)
        return due ? CHOICE_TRIAL : CHOICE_EJECTED;
    return backend == wait->avoid ? CHOICE_AVOIDED : CHOICE_HEALTHY;
}

struct backend *backend_choose(const struct pool_wait *wait, size_t *out_index)
{
    const struct config_group *group = wait->group;
    struct backend *best = NULL;
    enum choice best_choice = CHOICE_NONE;
    uint64_t best_load = 0;
    for (size_t i = 0; i < group->num_upstreams; i++) {
        size_t at = (size_t)((i + wait->pool->turn) % group->num_upstreams);
        struct backend *backend = backend_of(wait->pool, group->upstreams[at]);
        enum choice choice = backend_choice(backend, wait);
        uint64_t load = choice == CHOICE_EJECTED ? backend->asked_turn : backend->num_busy;
        if (choice > best_choice || (choice == best_choice && (!best || load >= best_load)))
            continue;
        best = backend;
        best_choice = choice;
        best_load = load;
        *out_index = at;
    }
    return best;
}

void backend_chosen(struct backend *backend)
{
    backend->pool->turn++;
    backend->asked = true;
    backend->asked_turn = backend->pool->turn;
    if (backend->state == BACKEND_HEALTHY || net_loop_now_ms(backend->pool->loop) < backend->ejected_until_ms)
        return;
    backend->state = BACKEND_TRIAL; /* nobody else, until it is known; or as long again, where nothing becomes known */
    backend->ejected_until_ms = net_loop_now_ms(backend->pool->loop) + backend->back_off_ms;
}

bool backend_none_healthy(struct pool *pool, const struct config_group *group)
{
    for (size_t i = 0; i < group->num_upstreams; i++)
        if (!backend_ejected(backend_of(pool, group->upstreams[i])))
            return false;
    return true;
}

unsigned backend_retry_after_s(struct pool *pool, const struct config_group *group)
{
    uint64_t now_ms = net_loop_now_ms(pool->loop), first_ms = EJECT_LONGEST_MS;
    for (size_t i = 0; i < group->num_upstreams; i++) {
        uint64_t until_ms = backend_of(pool, group->upstreams[i])->ejected_until_ms;
        uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
        first_ms = left_ms < first_ms ? left_ms : first_ms;
    }
    return first_ms < 1000 ? 1 : (unsigned)((first_ms + 999) / 1000);
}

struct pool_reach pool_reach(const struct pool *pool)
{
    struct pool_reach reach = {0};
    struct map_entry *entry;
    bool all_refused = true;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));) {
        const struct backend *backend = entry->value;
        if (backend->retired)
            continue;
        all_refused = all_refused && backend->refused;
        if (backend->reach.refused_ms > reach.refused_ms)
            reach.refused_ms = backend->reach.refused_ms;
        if (backend->reach.reached_ms > reach.reached_ms)
            reach.reached_ms = backend->reach.reached_ms;
    }
    if (!all_refused)
        reach.refused_ms = 0;
    return reach;
}
