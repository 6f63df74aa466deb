#include "core/desk.h"

#include "core/admin.h"
#include "core/control_socket.h"
#include "core/pages.h"
#include "core/reach.h"

enum { DESK_TICK_MS = 1000 };

struct desk {
    struct desk_options options;
    struct admin *admin, *control; /* NULL: not open */
    struct control_socket socket;
    struct reach *reach;
    struct deferred drain;
    struct random_batch random;
    int64_t started_s;
    uv_timer_t timer;
    uint64_t due_us, lag_us; /* how late the timer was */
};

/* ---- what pages are made of ---- */

struct certs_seen {
    int64_t now_s;
    bool complete;
};

/* Names that are ordered do not count: validation would never arrive (PRODUCT.md, READY_REQUIRES). */
static void desk_see_cert(void *ctx, const struct keeper_name_view *name)
{
    struct certs_seen *seen = ctx;
    bool good = name->cert && name->cert->source != CERT_PLACEHOLDER && name->cert->not_after_s > seen->now_s;
    seen->complete = seen->complete && (good || name->managed);
}

static const char *desk_not_ready(const struct desk *desk, const struct desk_view *view, int64_t now_ms)
{
    struct certs_seen seen = {.now_s = now_ms / 1000, .complete = view->keeper != NULL};
    if (view->config->admin.ready_upstream && !reach_is_complete(desk->reach))
        return "no backend accepts connections (READY_REQUIRES has upstream)";
    if (!view->config->admin.ready_cert)
        return NULL;
    if (view->keeper)
        keeper_each(view->keeper, desk_see_cert, &seen);
    return seen.complete ? NULL : "a name has no valid certificate (READY_REQUIRES has cert)";
}

static void desk_drain_asked(void *ctx)
{
    struct desk *desk = ctx;
    deferred_start(desk->options.loop, &desk->drain);
}

static void desk_drain(struct deferred *deferred)
{
    struct desk *desk = container_of(deferred, struct desk, drain);
    desk->options.drain(desk->options.ctx);
}

static void desk_answer(void *ctx, const struct admin_request *request, struct admin_answer *answer)
{
    struct desk *desk = ctx;
    struct desk_view now = desk->options.look(desk->options.ctx);
    int64_t now_ms = clock_system.wall_ms(&clock_system);
    struct pages_view view = {.stats = {.workers = now.workers,
                                        .num_workers = now.num_workers,
                                        .keeper = now.keeper,
                                        .log = desk->options.log,
                                        .version = desk->options.version,
                                        .started_s = desk->started_s,
                                        .now_ms = now_ms,
                                        .max_conns = now.max_conns,
                                        .control_lag_us = desk->lag_us,
                                        .draining = now.draining},
                              .token = now.config->admin.token,
                              .started = now.started,
                              .alive = now.alive,
                              .not_ready = desk_not_ready(desk, &now, now_ms),
                              .keeper = now.keeper,
                              .ctx = desk,
                              .drain = desk_drain_asked};
    random_take(&desk->random, view.nonce, sizeof view.nonce);
    pages_answer(&view, request, answer);
}

/* ---- life ---- */

static void desk_tick(uv_timer_t *timer)
{
    struct desk *desk = container_of(timer, struct desk, timer);
    uint64_t now_us = uv_hrtime() / 1000;
    desk->lag_us = now_us > desk->due_us ? now_us - desk->due_us : 0;
    desk->due_us = now_us + UINT64_C(1000) * (DESK_TICK_MS + 1); /* timers count whole milliseconds */
    desk->reach = reach_look(desk->reach, desk->options.loop, desk->options.resolver,
                             desk->options.look(desk->options.ctx).config);
    uv_timer_start(timer, desk_tick, DESK_TICK_MS, 0);
}

struct desk *desk_new(const struct desk_options *options)
{
    struct desk *desk = MEM_NEW(struct desk);
    desk->options = *options;
    desk->socket.dir_fd = -1;
    desk->started_s = clock_system.wall_ms(&clock_system) / 1000;
    deferred_init(&desk->drain, desk_drain);
    desk->due_us = uv_hrtime() / 1000;
    uv_timer_init(options->loop->uv, &desk->timer);
    uv_timer_start(&desk->timer, desk_tick, 0, 0);
    return desk;
}

static struct admin_options desk_admin(struct desk *desk, int fd)
{
    return (struct admin_options){.loop = desk->options.loop, .fd = fd, .ctx = desk, .answer = desk_answer};
}

struct err desk_listen(struct desk *desk, int fd, bool unix_socket)
{
    struct admin_options options = desk_admin(desk, fd);
    options.unix_socket = unix_socket;
    admin_close(desk->admin);
    desk->admin = NULL;
    if (fd < 0)
        return ERR_OK;
    return admin_new(&options, &desk->admin);
}

void desk_open_control(struct desk *desk)
{
    struct slice storage = desk->options.look(desk->options.ctx).config->storage;
    int fd = -1;
    struct err err = control_socket_open(&desk->socket, CONTROL_SOCKET_RUN_DIR, storage, &fd);
    if (!err_is(err)) {
        struct admin_options options = desk_admin(desk, fd);
        options.unix_socket = options.control = true;
        err = admin_new(&options, &desk->control);
    }
    if (err_is(err))
        LOG_WARN_EVENT(desk->options.ring, "control_socket_failed", LOG_ERR("error", err),
                       LOG_STR("msg",
                               "neither /run/portico nor PORTICO_STORAGE can hold the control socket: `portico drain` "
                               "and `portico status` cannot reach this process"));
    else
        LOG_INFO_EVENT(desk->options.ring, "control_socket", LOG_STR("path", desk->socket.path));
}

static void desk_closed(uv_handle_t *handle)
{
    mem_free(container_of((uv_timer_t *)(void *)handle, struct desk, timer));
}

void desk_leave(struct desk *desk)
{
    control_socket_close(&desk->socket);
    admin_close(desk->admin);
    admin_close(desk->control);
    desk->admin = desk->control = NULL;
}

void desk_close(struct desk *desk)
{
    if (!desk)
        return;
    deferred_stop(&desk->drain);
    reach_free(desk->reach);
    desk_leave(desk);
    uv_close((uv_handle_t *)&desk->timer, desk_closed);
}
