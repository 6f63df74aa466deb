#include "core/control.h"

#include "certs/ca_transport.h"
#include "certs/keeper.h"
#include "core/desk.h"
#include "core/drain.h"
#include "core/handover.h"
#include "core/mailbox.h"
#include "core/notify.h"
#include "core/process.h"
#include "core/reload.h"
#include "core/replace.h"
#include "core/sandbox.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONTROL_TICK_MS = 1000,
    CONTROL_DRAIN_TICK_MS = 100,
    CONTROL_ALIVE_MS = 10000, /* a worker that turned within this is alive */
    CONTROL_END_TICK_MS = 20,
    CONTROL_LEAVE_MS = 1000, /* for clients to hear of it in an answer, before idle connections are closed */
    CONTROL_OFFER_TICKS = 10,
    CONTROL_STOP_EXTRA_MS = 5000, /* behind the drain's end: files are written, threads joined */
    POOL_RESOLVE_THREADS = 2,
    POOL_SIGN_THREADS = 2,
    POOL_PASSWORD_THREADS = 2,
    POOL_DISK_THREADS = 2,
    POOL_NICE = 10,
    POOL_QUEUE = 1024,
    NUM_SIGNALS = 5
};

/* STARTING: until the first certset is there, nobody listens.
 *
 *   STARTING ---> SERVING ---> DRAINING ---> STOPPING ---> ENDING (the loop runs out of handles) */
enum control_phase { CONTROL_STARTING, CONTROL_SERVING, CONTROL_DRAINING, CONTROL_STOPPING, CONTROL_ENDING };

struct control {
    uv_loop_t loop;
    struct net_loop *net;
    const struct config *config; /* held */
    const char *const *environment;
    struct log *log;
    struct log_ring *ring;
    const char *version;
    bool take_over;
    struct offload_pool *resolve_pool, *sign_pool, *password_pool, *disk_pool;
    struct offload_port *port;
    struct resolver *resolver;
    struct mailbox *mailbox;
    struct store *store;
    struct ca_transport *ca;
    struct keeper *keeper;
    struct desk *desk;
    struct reload *reload; /* NULL once it drains */
    struct sockets sockets;
    struct sandbox *sandbox;
    struct handover handover;
    struct takeover takeover; /* of the process before us */
    struct conn_credit credit;
    int64_t possible_conns;
    struct worker **workers;
    size_t num_workers, num_ended;
    uv_signal_t signals[NUM_SIGNALS];
    struct notify notify;
    struct tick tick, watchdog;
    struct deferred end_base;
    enum control_phase phase;
    uint64_t drain_began_ms; /* of uv_hrtime */
    bool listeners_closed;
    bool relieved; /* another process serves already */
    unsigned num_offers;
    bool interrupted;
    int exit_code;
    size_t num_base_handles; /* those that go last */
};

static void control_begin_stop(struct control *control);
static size_t control_num_handles(struct control *control);
static struct replace_parts control_parts(struct control *control);

static uint64_t control_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- workers ---- */

static void control_notify_ready(struct control *control)
{
    char status[96];
    size_t names = control->config->num_names, workers = control->num_workers;
    snprintf(status, sizeof status, "Serves %zu name%s with %zu worker%s", names, names == 1 ? "" : "s", workers,
             workers == 1 ? "" : "s");
    notify_ready(&control->notify, status);
}

static void control_start_watchdog(struct control *control)
{
    uint64_t every_ms = notify_alive_every_ms(&control->notify);
    if (every_ms)
        tick_start(&control->net->ticker, &control->watchdog, every_ms);
}

/* A standby leaves it to the process that it stands by, and asks again. */
static void control_offer_handover(struct control *control, bool over)
{
    struct err err = handover_open(&control->handover, control->config->storage.ptr, over);
    if (err_is(err) && err.kind != ERR_STATE && control->num_offers == 0)
        LOG_INFO_EVENT(control->ring, "handover_unavailable", LOG_ERR("error", err),
                       LOG_STR("msg", "`portico run --take-over` cannot relieve this process"));
    control->num_offers++;
}

static bool control_start_admin(struct control *control);

/* Not before we serve: until then the old process answers health checks, too. */
static void control_take_over_end(struct control *control)
{
    bool over = control->takeover.fd >= 0;
    if (over && !control_start_admin(control))
        LOG_WARN_EVENT(control->ring, "listen_failed", LOG_STR("listener", "admin"));
    struct err err = takeover_end(&control->takeover);
    if (err_is(err))
        LOG_WARN_EVENT(control->ring, "take_over_incomplete", LOG_ERR("error", err),
                       LOG_INT("pid", control->takeover.pid),
                       LOG_STR("msg", "the other process does not know that it is relieved: end it with TERM"));
    control_offer_handover(control, over);
}

/* Behind the first publication: the certset is complete before anybody can connect. */
static void control_start_workers(struct control *control, struct certset *set)
{
    control->num_workers = control->config->workers ? control->config->workers : process_auto_workers();
    control->workers = mem_calloc(control->num_workers, sizeof(struct worker *)); // NOLINT(bugprone-sizeof-expression)
    uint64_t limit = process_raise_nofile();
    for (size_t i = 0; i < control->num_workers; i++) {
        struct worker_options options = {.index = (unsigned)i,
                                         .config = control->config,
                                         .certset = certset_ref(set),
                                         .log = log_ring_new(control->log, "worker"),
                                         .mailbox = control->mailbox,
                                         .credit = &control->credit,
                                         .resolve_pool = control->resolve_pool,
                                         .sign_pool = control->sign_pool,
                                         .password_pool = control->password_pool};
        control->workers[i] = worker_new(&options);
    }
    control->possible_conns = process_max_conns(limit, process_num_open_files() + 2 * control->num_workers);
    struct replace_parts parts = control_parts(control);
    replace_set_credit(&parts, control->config);
    struct err err = sockets_give_workers(&control->sockets, control->workers, control->num_workers);
    for (size_t i = 0; i < control->num_workers && !err_is(err); i++)
        err = worker_start(control->workers[i]);
    if (err_is(err)) {
        LOG_ERROR_EVENT(control->ring, "start_failed", LOG_ERR("error", err));
        control->exit_code = 1;
        control_begin_stop(control);
        return;
    }
    control->phase = CONTROL_SERVING;
    control_take_over_end(control);
    desk_open_control(control->desk);
    LOG_INFO_EVENT(control->ring, "started", LOG_STR("version", control->version),
                   LOG_INT("workers", control->num_workers), LOG_INT("max_conns", control->credit.max));
    reload_start(control->reload);
    control_notify_ready(control);
    control_start_watchdog(control);
}

static void control_publish(void *ctx, struct certset *set)
{
    struct control *control = ctx;
    if (control->phase == CONTROL_STARTING) {
        control_start_workers(control, set);
        keeper_acknowledged(control->keeper, set->generation);
    } else if (control->phase < CONTROL_STOPPING) {
        for (size_t i = 0; i < control->num_workers; i++)
            worker_publish(control->workers[i], certset_ref(set));
    }
    certset_unref(set);
}

/* A worker that has been told to close counts as having acknowledged: it answers no challenge of a new connection. */
static void control_acknowledge(struct control *control)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < control->num_workers; i++) {
        uint64_t generation = worker_generation(control->workers[i]);
        if (generation < least)
            least = generation;
    }
    if (control->num_workers && control->keeper)
        keeper_acknowledged(control->keeper, least);
}

static void control_worker_ended(struct control *control);

static void control_read_mail(void *ctx, const struct mail *mail)
{
    struct control *control = ctx;
    switch (mail->kind) {
    case MAIL_RETIRED_CERTSET: certset_unref(mail->ptr); return;
    case MAIL_RETIRED_CONFIG: config_unref(mail->ptr); return;
    case MAIL_CHALLENGE_SEEN:
        if (control->keeper)
            keeper_challenge_seen(control->keeper, slice_str(mail->text));
        return;
    case MAIL_SERVING: control_acknowledge(control); return;
    case MAIL_ENDED: control_worker_ended(control); return;
    }
}

/* ---- the end ---- */

static const int control_signals[NUM_SIGNALS] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1};

/* Threads inherit a mask that blocks them: control alone takes signals. */
static void control_mask_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < NUM_SIGNALS; i++)
        sigaddset(&set, control_signals[i]);
    pthread_sigmask(how, &set, NULL);
}

static void control_end_base(struct deferred *deferred)
{
    struct control *control = container_of(deferred, struct control, end_base);
    resolver_free(control->resolver);
    offload_port_close(control->port);
    mailbox_close(control->mailbox);
    net_loop_close(control->net);
}

/* What was closed has handles that linger: files that are written, connections to the CA. The rest goes when they are
 * gone. */
static void control_end_tick(struct control *control)
{
    if (control_num_handles(control) > control->num_base_handles)
        tick_start(&control->net->ticker, &control->tick, CONTROL_END_TICK_MS);
    else
        deferred_start(control->net, &control->end_base); /* not from within a tick: the ticker goes with it */
}

static void control_end(struct control *control)
{
    control->phase = CONTROL_ENDING;
    keeper_close(control->keeper);
    control->keeper = NULL;
    ca_transport_close(control->ca);
    if (control->store)
        control->store->ops->free(control->store);
    handover_close(&control->handover);
    tick_stop(&control->watchdog);
    desk_close(control->desk);
    control->desk = NULL;
    control_mask_signals(SIG_BLOCK); /* without a handler the next one would kill, and hide the exit code */
    for (int i = 0; i < NUM_SIGNALS; i++)
        uv_close((uv_handle_t *)&control->signals[i], NULL);
    tick_start(&control->net->ticker, &control->tick, CONTROL_END_TICK_MS);
}

static void control_worker_ended(struct control *control)
{
    if (control->phase == CONTROL_ENDING || ++control->num_ended < control->num_workers)
        return;
    uint64_t num_cut = 0, num_tunnels = 0;
    for (size_t i = 0; i < control->num_workers; i++) {
        num_cut += worker_load(control->workers[i]).num_cut;
        num_tunnels += worker_load(control->workers[i]).num_tunnels_cut;
    }
    if (num_cut || num_tunnels)
        LOG_WARN_EVENT(control->ring, "drain_cut", LOG_INT("requests", num_cut), LOG_INT("tunnels", num_tunnels),
                       LOG_STR("msg", "they were still in flight when PORTICO_DRAIN_TIMEOUT was over"));
    if (num_cut && control->exit_code == 0)
        control->exit_code = 3;
    control_end(control);
}

/* Nobody was served yet: what there is of workers ends here and now. */
static void control_abandon_workers(struct control *control)
{
    for (size_t i = 0; i < control->num_workers; i++) {
        worker_order(control->workers[i], WORKER_STOP);
        worker_join(control->workers[i]);
    }
    control->num_workers = 0;
}

static void control_stop_reload(struct control *control)
{
    reload_close(control->reload);
    control->reload = NULL;
}

static void control_begin_stop(struct control *control)
{
    if (control->phase >= CONTROL_STOPPING)
        return;
    control_stop_reload(control);
    bool serving = control->phase != CONTROL_STARTING;
    if (control->phase != CONTROL_DRAINING)
        notify_stopping(&control->notify, CONTROL_STOP_EXTRA_MS, "Ends at once");
    control->phase = CONTROL_STOPPING;
    if (!serving) {
        control_abandon_workers(control);
        control_end(control);
        return;
    }
    for (size_t i = 0; i < control->num_workers; i++)
        worker_order(control->workers[i], WORKER_STOP);
}

static struct drain_view control_look(struct control *control)
{
    struct pool_reach reach = {0};
    struct drain_view view = {.min_ms = control->relieved ? CONTROL_LEAVE_MS : control->config->drain.min_ms,
                              .quiet_ms = control->config->drain.quiet_ms,
                              .timeout_ms = control->config->drain.timeout_ms,
                              .now_ms = (int64_t)(control_now_ms() - control->drain_began_ms),
                              .last_connection_ms = INT64_MIN,
                              .listeners_closed = control->listeners_closed};
    for (size_t i = 0; i < control->num_workers; i++) {
        struct worker_load load = worker_load(control->workers[i]);
        int64_t last_ms = (int64_t)load.last_connection_ms - (int64_t)control->drain_began_ms;
        if (last_ms > view.last_connection_ms)
            view.last_connection_ms = last_ms;
        view.num_busy += load.num_busy;
        view.num_tunnels += load.num_tunnels;
        if (load.reach.refused_ms > reach.refused_ms)
            reach.refused_ms = load.reach.refused_ms;
        if (load.reach.reached_ms > reach.reached_ms)
            reach.reached_ms = load.reach.reached_ms;
        worker_ping(control->workers[i]);
    }
    view.backend_refused = reach.refused_ms > reach.reached_ms;
    return view;
}

static void control_drain_tick(struct control *control)
{
    struct drain_view view = control_look(control);
    enum drain_step step = drain_next(&view);
    if (step == DRAIN_CLOSE) {
        control->listeners_closed = true;
        if (!control->relieved) /* then they were closed at once */
            LOG_INFO_EVENT(control->ring, "listeners_closed", LOG_INT("after_ms", view.now_ms),
                           LOG_INT("requests", view.num_busy), LOG_INT("tunnels", view.num_tunnels));
        for (size_t i = 0; i < control->num_workers; i++)
            worker_order(control->workers[i], WORKER_CLOSE);
    } else if (step == DRAIN_CUT) {
        control_begin_stop(control);
    }
}

static void control_begin_drain(struct control *control)
{
    if (control->phase == CONTROL_STARTING)
        control_begin_stop(control);
    if (control->phase != CONTROL_SERVING)
        return;
    control->phase = CONTROL_DRAINING;
    control_stop_reload(control);
    control->drain_began_ms = control_now_ms();
    LOG_INFO_EVENT(control->ring, "draining", LOG_INT("timeout_ms", control->config->drain.timeout_ms));
    notify_stopping(&control->notify, control->config->drain.timeout_ms + CONTROL_STOP_EXTRA_MS,
                    "Finishes what is in flight");
    keeper_stop_ordering(control->keeper); /* gives the right to write up: whoever comes next takes over */
    handover_close(&control->handover);
    for (size_t i = 0; i < control->num_workers; i++)
        worker_order(control->workers[i], control->relieved ? WORKER_LEAVE : WORKER_DRAIN);
    tick_start(&control->net->ticker, &control->tick, CONTROL_DRAIN_TICK_MS);
}

/* Another process serves with our sockets: what comes is for it alone from now on. */
static void control_relieved(void *ctx, int pid)
{
    struct control *control = ctx;
    if (control->phase != CONTROL_SERVING)
        return;
    LOG_INFO_EVENT(control->ring, "relieved", LOG_INT("pid", pid));
    control->relieved = true;
    desk_leave(control->desk);
    control_begin_drain(control);
}

/* ---- time and signals ---- */

static void control_ticked(struct tick *tick)
{
    struct control *control = container_of(tick, struct control, tick);
    if (control->phase == CONTROL_ENDING) {
        control_end_tick(control);
        return;
    }
    if (control->phase == CONTROL_DRAINING)
        control_drain_tick(control);
    if (control->phase == CONTROL_SERVING) {
        for (size_t i = 0; i < control->num_workers; i++)
            worker_ping(control->workers[i]);
        control_acknowledge(control);
        if (control->handover.fd < 0 && ++control->num_offers % CONTROL_OFFER_TICKS == 0)
            control_offer_handover(control, false);
    }
    if (control->phase != CONTROL_ENDING)
        tick_start(&control->net->ticker, &control->tick,
                   control->phase == CONTROL_DRAINING ? CONTROL_DRAIN_TICK_MS : CONTROL_TICK_MS);
}

static void control_toggle_debug(struct control *control)
{
    bool debug = log_get_level(control->log) == LOG_LEVEL_DEBUG;
    enum log_level usual = control->config->log.level == LOG_LEVEL_DEBUG ? LOG_LEVEL_INFO : control->config->log.level;
    log_set_level(control->log, debug ? usual : LOG_LEVEL_DEBUG);
    LOG_INFO_EVENT(control->ring, "debug_logging", LOG_BOOL("on", !debug));
}

static void control_ask_reload(struct control *control)
{
    if (control->reload)
        reload_ask(control->reload);
    else
        LOG_WARN_EVENT(control->ring, "reload_ignored", LOG_STR("msg", "the process is about to end"));
}

static void control_signaled(uv_signal_t *handle, int number)
{
    struct control *control = handle->data;
    switch (number) {
    case SIGINT:
        if (control->interrupted)
            control_begin_stop(control);
        control->interrupted = true;
        control_begin_drain(control);
        return;
    case SIGTERM: control_begin_drain(control); return;
    case SIGQUIT: control_begin_stop(control); return;
    case SIGUSR1: control_toggle_debug(control); return;
    default: control_ask_reload(control); return;
    }
}

static void control_catch_signals(struct control *control)
{
    for (int i = 0; i < NUM_SIGNALS; i++) {
        uv_signal_init(&control->loop, &control->signals[i]);
        control->signals[i].data = control;
        uv_signal_start(&control->signals[i], control_signaled, control_signals[i]);
    }
}

/* ---- the admin endpoint ---- */

static bool control_alive(const struct control *control)
{
    for (size_t i = 0; i < control->num_workers; i++)
        if (control_now_ms() > worker_alive_ms(control->workers[i]) + CONTROL_ALIVE_MS)
            return false;
    return true;
}

/* A worker that hangs is a reason for the manager to start another process. */
static void control_watchdog(struct tick *tick)
{
    struct control *control = container_of(tick, struct control, watchdog);
    if (control_alive(control))
        notify_alive(&control->notify);
    control_start_watchdog(control);
}

static struct desk_view control_shown(void *ctx)
{
    const struct control *control = ctx;
    return (struct desk_view){.config = control->config,
                              .workers = control->workers,
                              .num_workers = control->num_workers,
                              .keeper = control->keeper,
                              .max_conns = control->credit.max,
                              .started = control->phase >= CONTROL_SERVING,
                              .alive = control_alive(control),
                              .draining = control->phase >= CONTROL_DRAINING};
}

static void control_drain_asked(void *ctx)
{
    control_begin_drain(ctx);
}

static void control_make_desk(struct control *control)
{
    struct desk_options options = {.loop = control->net,
                                   .log = control->log,
                                   .ring = control->ring,
                                   .resolver = control->resolver,
                                   .version = control->version,
                                   .ctx = control,
                                   .look = control_shown,
                                   .drain = control_drain_asked};
    control->desk = desk_new(&options);
}

static bool control_start_admin(struct control *control)
{
    bool unix_socket;
    int fd = sockets_take_admin(&control->sockets, &unix_socket);
    return !err_is(desk_listen(control->desk, fd, unix_socket));
}

/* ---- start ---- */

static void control_store_reported(void *ctx, const struct store_dir_report *report)
{
    struct control *control = ctx;
    if (control->keeper)
        keeper_storage_reported(control->keeper, report);
}

static bool control_start_store(struct control *control)
{
    struct store_dir_config options = {.path = control->config->storage.ptr,
                                       .loop = &control->loop,
                                       .disk = control->disk_pool,
                                       .port = control->port,
                                       .log = control->ring,
                                       .reported = control_store_reported,
                                       .ctx = control};
    control->store = store_dir_new(&options);
    return control->store != NULL;
}

/* As every other program reads them, in either case. */
static struct slice control_environment(const char *upper, const char *lower)
{
    const char *value = getenv(upper);
    return slice_str(value && *value ? value : getenv(lower));
}

static struct err control_make_ca(void *ctx, const struct config *config, struct ca_transport **out_ca)
{
    struct control *control = ctx;
    size_t num_roots = 0;
    struct https_proxy_options proxy = {.url = control_environment("HTTPS_PROXY", "https_proxy"),
                                        .no_proxy = control_environment("NO_PROXY", "no_proxy")};
    struct ca_transport_options options = {.loop = control->net,
                                           .resolver = control->resolver,
                                           .extra_roots_pem = config->acme.ca.text,
                                           .version = control->version,
                                           .proxy = &proxy};
    struct err err = ca_transport_new(&options, out_ca, &num_roots);
    if (!err_is(err) && num_roots == 0)
        LOG_WARN_EVENT(control->ring, "no_roots",
                       LOG_STR("msg",
                               "no trusted root certificates are installed, so no CA can be verified: install the "
                               "package ca-certificates, or set PORTICO_ACME_CA_FILE"));
    return err;
}

static bool control_start_ca(struct control *control)
{
    if (control->config->acme.kind == CONFIG_DIRECTORY_INTERNAL)
        return true;
    struct err err = control_make_ca(control, control->config, &control->ca);
    if (err_is(err))
        LOG_ERROR_EVENT(control->ring, "configuration_failed", LOG_ERR("error", err),
                        LOG_STR("msg", "PORTICO_ACME_CA takes PEM certificates of the CA's roots, HTTPS_PROXY a plain "
                                       "http:// address"));
    return !err_is(err);
}

static bool control_check_workers(struct control *control)
{
    struct err err = worker_check(control->config);
    if (err_is(err))
        LOG_ERROR_EVENT(control->ring, "configuration_failed", LOG_ERR("error", err),
                        LOG_STR("msg", "PORTICO_TLS_CLIENT_CA takes PEM certificates, each of them whole"));
    return !err_is(err);
}

static bool control_start_keeper(struct control *control)
{
    struct buf mistake = {0};
    struct keeper_world world = {.loop = control->net,
                                 .log = control->ring,
                                 .clock = &clock_system,
                                 .store = control->store,
                                 .transport = control->ca ? ca_transport_base(control->ca) : NULL,
                                 .ctx = control,
                                 .publish = control_publish};
    struct err err = keeper_new(&world, control->config, &control->keeper, &mistake);
    if (err_is(err))
        LOG_ERROR_EVENT(control->ring, "configuration_failed", LOG_STR("msg", buf_cstr(&mistake)));
    buf_cleanup(&mistake);
    if (!err_is(err))
        keeper_start(control->keeper);
    return !err_is(err);
}

/* ---- another configuration ---- */

static void control_move_admin(void *ctx, int fd, bool unix_socket)
{
    struct control *control = ctx;
    struct err err = desk_listen(control->desk, fd, unix_socket);
    if (err_is(err))
        LOG_ERROR_EVENT(control->ring, "listen_failed", LOG_STR("listener", "admin"), LOG_ERR("error", err));
}

static struct replace_parts control_parts(struct control *control)
{
    return (struct replace_parts){.config = &control->config,
                                  .log = control->log,
                                  .ring = control->ring,
                                  .sockets = &control->sockets,
                                  .credit = &control->credit,
                                  .possible_conns = control->possible_conns,
                                  .keeper = control->keeper,
                                  .ca = &control->ca,
                                  .workers = control->workers,
                                  .num_workers = control->num_workers,
                                  .ctx = control,
                                  .make_ca = control_make_ca,
                                  .move_admin = control_move_admin};
}

static const struct config *control_current(void *ctx)
{
    return ((struct control *)ctx)->config;
}

static bool control_put(void *ctx, const struct config *next, struct config_mistakes *mistakes)
{
    struct replace_parts parts = control_parts(ctx);
    return replace_config(&parts, next, mistakes);
}

static void control_explain(void *ctx, struct config_mistakes *mistakes)
{
    sandbox_explain(((struct control *)ctx)->sandbox, mistakes);
}

static void control_reload_begun(void *ctx)
{
    notify_reloading(&((struct control *)ctx)->notify);
}

static void control_reload_ended(void *ctx, bool replaced)
{
    (void)replaced; /* a refused one ends it as well: what was there serves on */
    control_notify_ready(ctx);
}

static void control_make_reload(struct control *control)
{
    struct reload_options options = {.loop = control->net,
                                     .log = control->ring,
                                     .disk = control->disk_pool,
                                     .port = control->port,
                                     .environment = control->environment,
                                     .ctx = control,
                                     .current = control_current,
                                     .put = control_put,
                                     .explain = control_explain,
                                     .begun = control_reload_begun,
                                     .ended = control_reload_ended};
    control->reload = reload_new(&options);
}

static void control_start_notify(struct control *control)
{
    struct notify_environment environment = {.notify_socket = getenv("NOTIFY_SOCKET"),
                                             .watchdog_usec = getenv("WATCHDOG_USEC"),
                                             .watchdog_pid = getenv("WATCHDOG_PID")};
    struct err err = notify_open(&control->notify, &environment, getpid());
    if (err_is(err))
        LOG_WARN_EVENT(control->ring, "notify_failed", LOG_ERR("error", err),
                       LOG_STR("msg", "the service manager is not told that Portico is ready"));
}

static bool control_take_over(struct control *control)
{
    struct err err = takeover_begin(&control->takeover, control->config->storage.ptr, &control->sockets);
    if (err_is(err))
        LOG_ERROR_EVENT(control->ring, "take_over_failed", LOG_ERR("error", err),
                        LOG_STR("msg", "the process that serves PORTICO_STORAGE goes on"));
    else if (control->takeover.fd < 0)
        LOG_INFO_EVENT(control->ring, "take_over_nobody",
                       LOG_STR("msg", "no process serves PORTICO_STORAGE: this is an ordinary start"));
    else
        LOG_INFO_EVENT(control->ring, "taking_over", LOG_INT("pid", control->takeover.pid));
    return !err_is(err);
}

static bool control_bind(struct control *control)
{
    struct activation_environment environment = {.listen_pid = getenv("LISTEN_PID"),
                                                 .listen_fds = getenv("LISTEN_FDS"),
                                                 .listen_fdnames = getenv("LISTEN_FDNAMES")};
    struct activation activation;
    activation_read(&activation, &environment, getpid());
    sockets_init(&control->sockets, control->config, control->ring);
    return (!control->take_over || control_take_over(control)) && sockets_bind(&control->sockets, &activation);
}

static void control_start(struct control *control)
{
    sandbox_log(control->sandbox, control->ring);
    control_start_notify(control);
    if (!control_bind(control) || (control->takeover.fd < 0 && !control_start_admin(control))) {
        control->exit_code = 1;
        control_begin_stop(control);
        return;
    }
    if (!control_check_workers(control) || !control_start_store(control) || !control_start_ca(control) ||
        !control_start_keeper(control)) {
        control->exit_code = 78;
        control_begin_stop(control);
    }
}

static void control_init(struct control *control)
{
    uv_loop_init(&control->loop);
    control->net = net_loop_new(&control->loop);
    control->port = offload_port_new(&control->loop);
    control->mailbox = mailbox_new(&control->loop, control_read_mail, control);
    control->num_base_handles = control_num_handles(control);
    control->resolve_pool = offload_pool_new("resolve", POOL_RESOLVE_THREADS, 0, POOL_QUEUE);
    control->sign_pool = offload_pool_new("sign", POOL_SIGN_THREADS, POOL_NICE, POOL_QUEUE);
    control->password_pool = offload_pool_new("password", POOL_PASSWORD_THREADS, POOL_NICE, LIMIT_PASSWORDS_QUEUED);
    control->disk_pool = offload_pool_new("disk", POOL_DISK_THREADS, 0, POOL_QUEUE);
    control->resolver = resolver_new(control->net, control->resolve_pool, control->port, 30000);
    control->ring = log_ring_new(control->log, "control");
    tick_init(&control->tick, control_ticked);
    tick_init(&control->watchdog, control_watchdog);
    deferred_init(&control->end_base, control_end_base);
    control_make_reload(control);
    control_make_desk(control);
    control->takeover.fd = -1;
    control->handover = (struct handover){.loop = control->net,
                                          .log = control->ring,
                                          .sockets = &control->sockets,
                                          .ctx = control,
                                          .relieved = control_relieved,
                                          .fd = -1};
    control_catch_signals(control);
}

static void count_handle(uv_handle_t *handle, void *arg)
{
    (void)handle;
    ++*(size_t *)arg;
}

static size_t control_num_handles(struct control *control)
{
    size_t num = 0;
    uv_walk(&control->loop, count_handle, &num);
    return num;
}

static void control_cleanup(struct control *control)
{
    for (size_t i = 0; i < control->num_workers; i++)
        worker_join(control->workers[i]);
    mem_free(control->workers);
    takeover_abandon(&control->takeover);
    notify_close(&control->notify);
    sandbox_free(control->sandbox);
    sockets_close(&control->sockets);
    config_unref(control->config);
    offload_pool_free(control->resolve_pool);
    offload_pool_free(control->sign_pool);
    offload_pool_free(control->password_pool);
    offload_pool_free(control->disk_pool);
    uv_loop_close(&control->loop);
}

int core_run(const struct config *config, const char *const *environment, struct log *log, const char *version,
             bool take_over)
{
    struct control control = {.config = config_ref(config),
                              .environment = environment,
                              .log = log,
                              .version = version,
                              .take_over = take_over};
    mallopt(M_ARENA_MAX, 4); /* one heap per thread would hold what another has freed */
    signal(SIGPIPE, SIG_IGN);
    control_mask_signals(SIG_BLOCK);
    control.sandbox = sandbox_new(config, getenv("RUNTIME_DIRECTORY"));
    sandbox_apply(control.sandbox); /* before any thread is made */
    log_start(log);
    control_init(&control);
    control_mask_signals(SIG_UNBLOCK);
    control_start(&control);
    if (control.phase != CONTROL_ENDING)
        tick_start(&control.net->ticker, &control.tick, CONTROL_TICK_MS);
    uv_run(&control.loop, UV_RUN_DEFAULT);
    control_cleanup(&control);
    LOG_INFO_EVENT(control.ring, "stopped", LOG_INT("code", control.exit_code));
    return control.exit_code;
}
