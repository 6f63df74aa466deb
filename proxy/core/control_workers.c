#include "core/control_internal.h"

/* ---- workers ---- */

void control_notify_ready(struct control *control)
{
    char status[96];
    size_t names = control->config->num_names, workers = control->num_workers;
    snprintf(status, sizeof status, "Serves %zu name%s with %zu worker%s", names, names == 1 ? "" : "s", workers,
             workers == 1 ? "" : "s");
    notify_ready(&control->notify, status);
}

void control_start_watchdog(struct control *control)
{
    uint64_t every_ms = notify_alive_every_ms(&control->notify);
    if (every_ms)
        tick_start(&control->net->ticker, &control->watchdog, every_ms);
}

/* A standby leaves it to the process that it stands by, and asks again. */
void control_offer_handover(struct control *control, bool over)
{
    struct err err = handover_open(&control->handover, control->config->storage.ptr, over);
    if (err_is(err) && err.kind != ERR_STATE && control->num_offers == 0)
        LOG_INFO_EVENT(control->ring, "handover_unavailable", LOG_ERR("error", err),
                       LOG_STR("msg", "`portico run --take-over` cannot relieve this process"));
    control->num_offers++;
}

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

void control_publish(void *ctx, struct certset *set)
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
void control_acknowledge(struct control *control)
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

static void control_name_wanted(struct control *control, struct name_wish *wish)
{
    if (control->keeper)
        keeper_name_wanted(control->keeper, slice_str(wish->name), slice_str(wish->client));
    mem_free(wish);
}

void control_read_mail(void *ctx, const struct mail *mail)
{
    struct control *control = ctx;
    switch (mail->kind) {
    case MAIL_RETIRED_CERTSET: certset_unref(mail->ptr); return;
    case MAIL_RETIRED_CONFIG: config_unref(mail->ptr); return;
    case MAIL_NAME_WANTED: control_name_wanted(control, mail->ptr); return;
    case MAIL_CHALLENGE_SEEN:
        if (control->keeper)
            keeper_challenge_seen(control->keeper, slice_str(mail->text));
        return;
    case MAIL_SERVING: control_acknowledge(control); return;
    case MAIL_ENDED: control_worker_ended(control); return;
    }
}
