#include "core/reload.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "config/diff.h"
#include "config/sources.h"
#include "core/watch.h"

enum {
    RELOAD_TORN_MS = 200, /* files that were being changed while they were read are read again after it */
    RELOAD_MOST_TORN = 10 /* times; then what was read counts */
};

/*   IDLE ---(asked, stirred)---> READING ---(torn)---> WAITING ---(tick)---> READING
 *     ^------(unchanged, refused, replaced)---'
 *
 * STOPPED: before reload_start. */
enum reload_state { RELOAD_STOPPED, RELOAD_IDLE, RELOAD_READING, RELOAD_WAITING };

/* Owns its input, and all that it has read until `done` takes that. */
struct reload_job {
    struct offload_job base;
    struct reload *reload; /* NULL: closed meanwhile */
    const char *const *environment;
    bool asked;    /* by a person: it is read in any case */
    bool is_known; /* nothing need be read where this is the stamp still */
    uint64_t known_stamp;
    struct config_sources sources;
    struct config *config; /* NULL: mistakes say why, or it was not read */
    struct config_mistakes mistakes;
    bool unread, torn;
};

struct reload {
    struct reload_options options;
    enum reload_state state;
    struct reload_job *job; /* READING */
    struct watch *watch;
    bool asked, stirred; /* while a reload runs: another is due behind it */
    bool answering;      /* the one that runs was asked for */
    bool told;           /* begun was called */
    unsigned num_torn;   /* in a row */
    bool known;          /* the stamp of what was read last */
    bool known_fresh;    /* and another change might not show in it */
    uint64_t known_stamp;
    uint64_t said; /* digest of the mistakes that were told last; 0: none */
    struct tick again;
    struct grave grave;
};

static void reload_read(struct reload *reload);

/* ---- reading: on the disk's thread ---- */

static void job_work(struct offload_job *base)
{
    struct reload_job *job = container_of(base, struct reload_job, base);
    struct config_sources before;
    config_sources_look(job->environment, &before);
    bool same = before.num_places == 0 || (job->is_known && before.stamp == job->known_stamp);
    job->unread = same && !job->asked;
    if (job->unread) {
        job->sources = before;
        return;
    }
    bool loaded = config_load(job->environment, &job->config, &job->mistakes);
    if (!loaded)
        job->config = NULL;
    config_sources_look(job->environment, &job->sources);
    job->torn = before.stamp != job->sources.stamp || job->sources.emptied;
    config_sources_cleanup(&before);
}

static void job_free(struct reload_job *job)
{
    config_sources_cleanup(&job->sources);
    config_mistakes_cleanup(&job->mistakes);
    config_unref(job->config);
    mem_free(job);
}

/* ---- what is said ---- */

static uint64_t mistakes_digest(const struct config_mistakes *mistakes)
{
    uint64_t digest = 1;
    for (size_t i = 0; i < mistakes->num; i++) {
        digest = map_hash(slice_str(mistakes->items[i].variable), digest);
        digest = map_hash(slice_str(mistakes->items[i].reason), digest);
    }
    return digest;
}

/* Once for each set of mistakes, where nobody asked: the next change may be an unrelated one. */
static void reload_refuse(struct reload *reload, struct config_mistakes *mistakes)
{
    if (reload->options.explain)
        reload->options.explain(reload->options.ctx, mistakes);
    uint64_t digest = mistakes_digest(mistakes);
    if (digest == reload->said && !reload->answering)
        return;
    reload->said = digest;
    for (size_t i = 0; i < mistakes->num; i++) {
        const struct config_mistake *mistake = &mistakes->items[i];
        LOG_ERROR_EVENT(reload->options.log, "reload_refused",
                        LOG_STR("msg",
                                "the configuration that runs stays in service; the new one is read again when a file "
                                "changes, and on SIGHUP"),
                        LOG_STR("variable", mistake->variable), LOG_STR("value", mistake->value ? mistake->value : ""),
                        LOG_STR("reason", mistake->reason));
    }
}

static void reload_say_replaced(struct reload *reload, const struct config *before, const struct config *after)
{
    struct config_names_diff names = config_names_diff(before, after);
    struct buf changed = {0};
    for (size_t i = 0; i < config_num_rows(); i++)
        if (config_row_differs(before, after, i))
            buf_printf(&changed, "%s%s", changed.len ? "," : "", config_row_at(i).name);
    LOG_INFO_EVENT(reload->options.log, "reloaded", LOG_SLICE("changed", buf_slice(&changed)),
                   LOG_INT("names_added", names.num_added), LOG_INT("names_removed", names.num_removed));
    buf_cleanup(&changed);
}

/* ---- the result ---- */

static void reload_tell_begun(struct reload *reload)
{
    if (!reload->told && reload->options.begun)
        reload->options.begun(reload->options.ctx);
    reload->told = true;
}

static bool reload_put(struct reload *reload, const struct config *next)
{
    struct config_mistakes mistakes = {0};
    const struct config *before = config_ref(reload->options.current(reload->options.ctx));
    bool differs = config_differs(before, next), replaced = false;
    if (differs)
        config_refuse_restarts(before, next, &mistakes);
    if (differs && mistakes.num == 0) {
        reload_tell_begun(reload);
        replaced = reload->options.put(reload->options.ctx, next, &mistakes);
    }
    if (mistakes.num)
        reload_refuse(reload, &mistakes);
    else
        reload->said = 0;
    if (mistakes.num == 0 && (replaced || reload->answering))
        reload_say_replaced(reload, before, next);
    config_mistakes_cleanup(&mistakes);
    config_unref(before);
    return replaced;
}

static void reload_end(struct reload *reload, bool replaced)
{
    if (reload->told && reload->options.ended)
        reload->options.ended(reload->options.ctx, replaced);
    reload->told = reload->answering = false;
    reload->num_torn = 0;
    reload->state = RELOAD_IDLE;
    if (reload->asked || reload->stirred)
        reload_read(reload);
}

static void reload_take(struct reload *reload, struct reload_job *job)
{
    bool replaced = false;
    reload->known = true;
    reload->known_stamp = job->sources.stamp;
    reload->known_fresh = job->sources.fresh;
    if (job->config)
        replaced = reload_put(reload, job->config);
    else if (!job->unread)
        reload_refuse(reload, &job->mistakes);
    if (watch_set_places(reload->watch, job->sources.places, job->sources.num_places))
        reload->stirred = true;
    reload_end(reload, replaced);
}

static void job_done(struct offload_job *base)
{
    struct reload_job *job = container_of(base, struct reload_job, base);
    struct reload *reload = job->reload;
    if (reload) {
        reload->job = NULL;
        if (job->torn && ++reload->num_torn <= RELOAD_MOST_TORN) {
            reload->state = RELOAD_WAITING;
            tick_start(&reload->options.loop->ticker, &reload->again, RELOAD_TORN_MS);
        } else {
            reload_take(reload, job);
        }
    }
    job_free(job);
}

/* ---- when ---- */

static void reload_submit(struct reload *reload)
{
    struct reload_job *job = MEM_NEW(struct reload_job);
    *job = (struct reload_job){.base = {.work = job_work, .done = job_done},
                               .reload = reload,
                               .environment = reload->options.environment,
                               .asked = reload->answering,
                               .is_known = reload->known && !reload->known_fresh,
                               .known_stamp = reload->known_stamp};
    if (offload_submit(reload->options.disk, reload->options.port, &job->base)) {
        reload->job = job;
        reload->state = RELOAD_READING;
        return;
    }
    job_free(job);
    reload->state = RELOAD_WAITING; /* the disk is busy */
    tick_start(&reload->options.loop->ticker, &reload->again, RELOAD_TORN_MS);
}

static void reload_read(struct reload *reload)
{
    reload->answering = reload->asked;
    reload->asked = reload->stirred = false;
    if (reload->answering)
        reload_tell_begun(reload);
    reload_submit(reload);
}

static void reload_again(struct tick *tick)
{
    reload_submit(container_of(tick, struct reload, again));
}

static void reload_stirred(void *ctx, bool told)
{
    struct reload *reload = ctx;
    (void)told;
    reload->stirred = true;
    if (reload->state == RELOAD_IDLE)
        reload_read(reload);
}

void reload_ask(struct reload *reload)
{
    reload->asked = true;
    if (reload->state == RELOAD_IDLE)
        reload_read(reload);
}

/* ---- life ---- */

struct reload *reload_new(const struct reload_options *options)
{
    struct reload *reload = MEM_NEW(struct reload);
    struct watch_options watch = {.loop = options->loop,
                                  .log = options->log,
                                  .ctx = reload,
                                  .stirred = reload_stirred,
                                  .poll_ms = options->poll_ms};
    reload->options = *options;
    reload->watch = watch_new(&watch);
    tick_init(&reload->again, reload_again);
    return reload;
}

void reload_start(struct reload *reload)
{
    reload->state = RELOAD_IDLE;
    reload_stirred(reload, false); /* files may have changed since the process read them; and they are found */
}

static void reload_free(struct grave *grave)
{
    mem_free(container_of(grave, struct reload, grave));
}

void reload_close(struct reload *reload)
{
    if (!reload)
        return;
    if (reload->job)
        reload->job->reload = NULL;
    tick_stop(&reload->again);
    watch_close(reload->watch);
    graveyard_bury(&reload->options.loop->graveyard, &reload->grave, reload_free);
}
