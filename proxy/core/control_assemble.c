#include "core/control_internal.h"

#include "certs/preflight.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- the admin endpoint ---- */

static bool control_alive(const struct control *control)
{
    for (size_t i = 0; i < control->num_workers; i++)
        if (control_now_ms() > worker_alive_ms(control->workers[i]) + CONTROL_ALIVE_MS)
            return false;
    return true;
}

/* A worker that hangs is a reason for the manager to start another process. */
void control_watchdog(struct tick *tick)
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

void control_make_desk(struct control *control)
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

bool control_start_admin(struct control *control)
{
    bool unix_socket;
    int fd = sockets_take_admin(&control->sockets, &unix_socket);
    return !err_is(desk_listen(control->desk, fd, unix_socket));
}

/* ---- start ---- */

static void control_store_reported(void *ctx, const struct store_dir_report *report)
{
    struct control *control = ctx;
    struct store_dir_report amended = *report;
    if (!control->keeper)
        return;
    seal_amend(control->store, &amended);
    keeper_storage_reported(control->keeper, &amended);
}

static void control_seal_changed(void *ctx)
{
    const struct control *control = ctx;
    struct store_dir_report report = store_dir_report(control->directory);
    control_store_reported(ctx, &report);
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
    struct store *directory = store_dir_new(&options);
    struct seal_config seal = {.inner = directory,
                               .secret = control->config->storage_key,
                               .log = control->ring,
                               .changed = control_seal_changed,
                               .ctx = control};
    control->directory = directory;
    control->store = seal_new(&seal);
    return control->store != NULL;
}

/* As every other program reads them, in either case. */
static struct slice control_environment(const char *upper, const char *lower)
{
    const char *value = getenv(upper);
    return slice_str(value && *value ? value : getenv(lower));
}

struct https_proxy_options control_https_proxy(void)
{
    return (struct https_proxy_options){.url = control_environment("HTTPS_PROXY", "https_proxy"),
                                        .no_proxy = control_environment("NO_PROXY", "no_proxy")};
}

static struct err control_make_ca(void *ctx, const struct config *config, struct ca_transport **out_ca)
{
    struct control *control = ctx;
    size_t num_roots = 0;
    struct https_proxy_options proxy = control_https_proxy();
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

static struct export *control_make_export(struct control *control)
{
    struct export_options options = {.dir = control->config->export_dir.ptr,
                                     .loop = control->net,
                                     .log = control->ring,
                                     .disk = control->disk_pool,
                                     .port = control->port};
    return control->config->export_dir.len ? export_new(&options) : NULL;
}

static void control_look_at(void *ctx, const struct preflight_question *question, struct preflight_run *run)
{
    preflight_start(((struct control *)ctx)->preflight, question, run);
}

static void control_look_away(void *ctx, struct preflight_run *run)
{
    (void)ctx;
    preflight_cancel(run);
}

static bool control_start_keeper(struct control *control)
{
    control_make_demand_ask(control);
    struct buf mistake = {0};
    control->export = control_make_export(control);
    struct keeper_world world = {.loop = control->net,
                                 .log = control->ring,
                                 .clock = &clock_system,
                                 .store = control->store,
                                 .transport = control->ca ? ca_transport_base(control->ca) : NULL,
                                 .dns_hook = control->dns_hook,
                                 .asker = demand_ask_base(control->demand_ask),
                                 .dns = control->dns,
                                 .keys = {control->net, control->key_pool, control->port},
                                 .export = control->export,
                                 .ctx = control,
                                 .publish = control_publish,
                                 .look_at = control_look_at,
                                 .look_away = control_look_away};
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

struct replace_parts control_parts(struct control *control)
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
                                  .hook = &control->dns_hook,
                                  .make_hook = control_make_hook,
                                  .close_hook = control_close_hook,
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

void control_make_reload(struct control *control)
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

void control_start(struct control *control)
{
    sandbox_log(control->sandbox, control->ring);
    control_start_notify(control);
    if (!control_bind(control) || (control->takeover.fd < 0 && !control_start_admin(control))) {
        control->exit_code = 1;
        control_begin_stop(control);
        return;
    }
    if (!control_check_workers(control) || !control_start_store(control) || !control_start_ca(control) ||
        !control_start_hook(control) || !control_start_keeper(control)) {
        control->exit_code = 78;
        control_begin_stop(control);
    }
}
