#include "base/mem.h"
#include "net/proxy_line.h"
#include "upstream/pool_internal.h"

enum {
    HEALTH_INTERVAL_MS = 5000,
    HEALTH_AGAIN_MS = 1000, /* behind a failure: the second one, and the return, are found out sooner */
    HEALTH_STEP_MS = 100,   /* of jitter; few steps, because each duration is a queue of the ticker's */
    HEALTH_NUM_STEPS = 5,
    HEALTH_TIMEOUT_MS = 2000,
    HEALTH_FAILURES = 2,
    HEALTH_MAX_BODY_BYTES = 64 * 1024 /* of an answer whose connection is kept */
};

/* One backend's probe.
 *
 *   RESTING --(interval)--> ASKING --(head)--> JUDGED --(end, too long, or the time is over)--> RESTING
 *      ^                       |
 *      +----(no connection, failed, or the time is over: a failure)                                      */
enum probe_state { PROBE_RESTING, PROBE_ASKING, PROBE_JUDGED };

struct probe {
    struct health *health;
    struct backend *backend;
    struct config_group group; /* of this backend alone */
    const struct config_upstream *member;
    enum probe_state state;
    struct tick tick; /* RESTING: the next probe; else the deadline */
    struct pool_wait wait;
    struct http_user user;
    struct upstream *upstream;
    struct arena arena;
    size_t body_bytes;
    unsigned num_failures;
};

struct health {
    struct pool *pool;
    const struct config *config; /* held */
    struct probe *probes;
    size_t num_probes;
    struct grave grave;
};

static struct probe *probe_of(struct http_user *user)
{
    return container_of(user, struct probe, user);
}

/* ---- verdicts ---- */

static void probe_rest(struct probe *probe, uint64_t ms)
{
    struct upstream *upstream = probe->upstream;
    probe->upstream = NULL;
    probe->state = PROBE_RESTING;
    pool_wait_cancel(&probe->wait);
    if (upstream)
        upstream->ops->detach(upstream);
    tick_start(&probe->health->pool->loop->ticker, &probe->tick, ms);
}

static void probe_rest_until_next(struct probe *probe)
{
    struct pool *pool = probe->health->pool;
    uint64_t ms = probe->num_failures ? HEALTH_AGAIN_MS : HEALTH_INTERVAL_MS;
    pool->random = pool->random * 6364136223846793005u + 1442695040888963407u;
    probe_rest(probe, ms + (pool->random >> 33) % HEALTH_NUM_STEPS * HEALTH_STEP_MS);
}

static void probe_judge(struct probe *probe, bool healthy)
{
    probe->num_failures = healthy ? 0 : probe->num_failures + 1;
    if (healthy && probe->backend->state != BACKEND_HEALTHY)
        backend_set_down(probe->backend, false);
    else if (healthy == probe->backend->down && (healthy || probe->num_failures >= HEALTH_FAILURES))
        backend_set_down(probe->backend, !healthy);
}

static void probe_over(struct probe *probe, bool healthy)
{
    if (probe->state == PROBE_ASKING)
        probe_judge(probe, healthy);
    probe_rest_until_next(probe);
}

/* ---- the request ---- */

static void probe_head(struct http_user *user, struct head *head)
{
    struct probe *probe = probe_of(user);
    if (head->status < 200 || probe->state != PROBE_ASKING)
        return;
    pool_answered(probe->backend);
    probe_judge(probe, head->status < 400);
    probe->state = PROBE_JUDGED;
}

static void probe_body(struct http_user *user, struct slice bytes)
{
    struct probe *probe = probe_of(user);
    probe->body_bytes += bytes.len;
    if (probe->body_bytes > HEALTH_MAX_BODY_BYTES)
        probe_over(probe, true);
}

static void probe_end(struct http_user *user, const struct fields *trailers)
{
    struct probe *probe = probe_of(user);
    (void)trailers;
    probe->upstream = NULL;
    probe_over(probe, true);
}

static void probe_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct probe *probe = probe_of(user);
    (void)progress;
    LOG_DEBUG_EVENT(probe->health->pool->log, "upstream_probe_failed", LOG_SLICE("upstream", probe->backend->text),
                    LOG_ERR("error", err));
    probe->upstream = NULL;
    probe_over(probe, false);
}

static void probe_nothing(struct http_user *user)
{
    (void)user;
}

static const struct http_user_ops probe_ops = {.head = probe_head,
                                               .body = probe_body,
                                               .end = probe_end,
                                               .failed = probe_failed,
                                               .drained = probe_nothing,
                                               .flush = probe_nothing};

/* "app:8000" of "http://app:8000". */
static struct slice probe_authority(const struct config_upstream *upstream)
{
    struct slice rest = upstream->text;
    if (upstream->path.len)
        return SLICE_LIT("localhost");
    slice_split(&rest, '/');
    return slice_skip(rest, 1);
}

static void probe_begin(struct probe *probe, struct upstream *upstream)
{
    struct head *head = arena_calloc(&probe->arena, 1, sizeof *head);
    struct fields *fields = arena_calloc(&probe->arena, 1, sizeof *fields);
    *head = (struct head){.method = METHOD_GET,
                          .method_name = SLICE_LIT("GET"),
                          .target = probe->health->config->upstream.health_path,
                          .authority = probe_authority(probe->member),
                          .version = 11};
    fields_add(fields, &probe->arena, SLICE_LIT("User-Agent"), SLICE_LIT("portico-health"));
    probe->upstream = upstream;
    upstream->ops->begin(upstream, &probe->user, &probe->arena, &(struct upstream_request){head, fields});
    upstream->ops->end(upstream, NULL);
}

static void probe_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
{
    struct probe *probe = container_of(wait, struct probe, wait);
    if (upstream)
        probe_begin(probe, upstream);
    else
        probe_failed(&probe->user, err, HTTP_UNSENT);
}

/* Where the backend awaits a PROXY header, a probe without one would be a failure: it comes from us, for nobody. */
static struct slice probe_announcement(struct probe *probe)
{
    static const struct proxy_line ours = {.local = true};
    struct buf out = {0};
    switch (probe->health->config->identity.proxy_protocol_out) {
    case CONFIG_PROXY_OUT_OFF: return SLICE_NONE;
    case CONFIG_PROXY_OUT_V1: proxy_line_write_v1(&out, &ours); break;
    case CONFIG_PROXY_OUT_V2:
    case CONFIG_PROXY_OUT_V2_TLS: proxy_line_write_v2(&out, &ours, NULL); break;
    }
    struct slice header = arena_copy(&probe->arena, buf_slice(&out));
    buf_cleanup(&out);
    return header;
}

static void probe_start(struct probe *probe)
{
    struct health *health = probe->health;
    probe->state = PROBE_ASKING;
    probe->body_bytes = 0;
    arena_reset(&probe->arena);
    tick_start(&health->pool->loop->ticker, &probe->tick, HEALTH_TIMEOUT_MS);
    probe->wait.preamble = probe_announcement(probe);
    struct upstream *upstream = pool_acquire(&probe->wait, health->config, &probe->group, false);
    if (upstream)
        probe_begin(probe, upstream);
}

static void probe_tick(struct tick *tick)
{
    struct probe *probe = container_of(tick, struct probe, tick);
    if (probe->state == PROBE_RESTING)
        probe_start(probe);
    else if (probe->wait.queued) /* the backend is busy with what it was given: no verdict */
        probe_rest_until_next(probe);
    else
        probe_over(probe, false);
}

/* ---- all of them ---- */

static void health_add(struct health *health, const struct config_upstream *upstream)
{
    struct probe *probe = &health->probes[health->num_probes++];
    probe->health = health;
    probe->member = upstream;
    probe->backend = backend_of(health->pool, upstream);
    probe->group = (struct config_group){.upstreams = &probe->member, .num_upstreams = 1};
    probe->user.ops = &probe_ops;
    tick_init(&probe->tick, probe_tick);
    pool_wait_init(&probe->wait, health->pool, probe_acquired);
    probe->wait.once = true;
    if (probe->backend->probe) /* a backend that is down stays so until a probe says otherwise */
        probe->num_failures = probe->backend->probe->num_failures;
    probe->backend->probe = probe;
    probe_rest(probe, HEALTH_STEP_MS);
}

static struct health *health_new(struct pool *pool, const struct config *config)
{
    if (config->upstream.health_path.len == 0)
        return NULL;
    struct health *health = MEM_NEW(struct health);
    health->pool = pool;
    health->config = config_ref(config);
    health->probes = mem_calloc(config->num_upstreams + 1, sizeof(struct probe));
    for (size_t i = 0; i < config->num_upstreams; i++)
        if (config->upstreams[i]->protocol != CONFIG_PROTOCOL_TCP)
            health_add(health, config->upstreams[i]);
    return health;
}

void pool_watch(struct pool *pool, const struct config *config)
{
    struct health *before = pool->health;
    pool->health = health_new(pool, config);
    health_free(before);
}

static void health_bury(struct grave *grave)
{
    struct health *health = container_of(grave, struct health, grave);
    for (size_t i = 0; i < health->num_probes; i++)
        arena_cleanup(&health->probes[i].arena);
    mem_free(health->probes);
    config_unref(health->config);
    mem_free(health);
}

void health_free(struct health *health)
{
    if (!health)
        return;
    for (size_t i = 0; i < health->num_probes; i++) {
        struct probe *probe = &health->probes[i];
        probe_rest(probe, HEALTH_STEP_MS);
        tick_stop(&probe->tick);
        if (probe->backend->probe != probe) /* another has taken its place */
            continue;
        probe->backend->probe = NULL;
        if (probe->backend->down)
            backend_set_down(probe->backend, false);
    }
    graveyard_bury(&health->pool->loop->graveyard, &health->grave, health_bury);
}
