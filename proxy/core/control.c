#include "core/control_internal.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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

static size_t control_num_handles(struct control *control);

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
    if (control_num_handles(control) > control->num_base_handles || control->num_hooks_closing)
        tick_start(&control->net->ticker, &control->tick, CONTROL_END_TICK_MS);
    else
        deferred_start(control->net, &control->end_base); /* not from within a tick: the ticker goes with it */
}

static void control_end(struct control *control)
{
    control->phase = CONTROL_ENDING;
    keeper_close(control->keeper);
    control->keeper = NULL;
    export_close(control->export);
    control_end_hooks(control);
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

void control_worker_ended(struct control *control)
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

void control_begin_stop(struct control *control)
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

void control_begin_drain(struct control *control)
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
    control->key_pool = offload_pool_new("keys", POOL_KEY_THREADS, POOL_KEY_NICE, POOL_QUEUE);
    control->resolver = resolver_new(control->net, control->resolve_pool, control->port, 30000);
    control->ring = log_ring_new(control->log, "control");
    tick_init(&control->tick, control_ticked);
    tick_init(&control->watchdog, control_watchdog);
    deferred_init(&control->end_base, control_end_base);
    control_init_hooks(control);
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
    offload_pool_free(control->key_pool);
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
    control_fork_runner(&control);
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
