#include "core/worker.h"

#include "exchange/passwords.h"
#include "exchange/route.h"
#include "upstream/pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Freed in its last event. */
struct worker_listener {
    struct listener listener;
    struct list node; /* in worker->listeners */
    struct worker *worker;
    enum worker_place place;
};

struct worker {
    /* its own */
    uv_thread_t thread;
    uv_loop_t loop;
    struct net_loop *net;
    struct offload_port *port;
    struct resolver *resolver;
    struct exchange_env exchange;
    struct conn_env conns;
    struct list listeners;       /* open ones, and such as are closing */
    uint64_t gone_connection_ms; /* last_connection_ms of listeners that have gone */
    struct mailbox *mailbox;
    unsigned index;
    enum worker_order order; /* carried out */
    uint64_t wishes_s;       /* the second in which num_wishes were posted */
    unsigned num_wishes;
    bool started, closing;

    /* shared */
    uv_async_t wake;
    struct slot certsets, updates;
    _Atomic int ordered;
    _Atomic uint64_t generation, alive_ms;
    _Atomic uint64_t num_conns, num_busy, num_tunnels, num_cut, num_tunnels_cut, last_connection_ms;
    _Atomic uint64_t refused_ms, reached_ms; /* of the backends */
    _Atomic uint64_t pinged_ns, lag_us;      /* pinged_ns: 0 once it has been answered */
    struct counters counters;
};

static const char *const worker_protocols[] = {"h2", "http/1.1", NULL};

/* ---- what comes from control ---- */

static void worker_retire(struct worker *worker, struct certset *set)
{
    struct mail mail = {.kind = MAIL_RETIRED_CERTSET, .worker = worker->index, .ptr = set};
    if (set && !mailbox_post(worker->mailbox, &mail))
        certset_unref(set); /* slower here, but never lost */
}

static void worker_take_certset(struct worker *worker)
{
    struct certset *set = slot_take(&worker->certsets);
    if (!set)
        return;
    struct certset *before = worker->exchange.certset;
    worker->exchange.certset = set;
    counters_add(&worker->counters, COUNTER_CERTSETS_APPLIED, 1);
    atomic_store_explicit(&worker->generation, set->generation, memory_order_release);
    struct mail mail = {.kind = MAIL_SERVING, .worker = worker->index, .number = set->generation};
    mailbox_post(worker->mailbox, &mail); /* where it is full, control learns it from the generation at its next tick */
    worker_retire(worker, before);
}

static void worker_measure_lag(struct worker *worker)
{
    uint64_t pinged_ns = atomic_exchange_explicit(&worker->pinged_ns, 0, memory_order_relaxed);
    if (pinged_ns)
        atomic_store_explicit(&worker->lag_us, (uv_hrtime() - pinged_ns) / 1000, memory_order_relaxed);
}

static void worker_report(struct worker *worker)
{
    size_t tunnels;
    size_t busy = conn_num_busy(&worker->conns, &tunnels);
    uint64_t last_ms = worker->gone_connection_ms;
    LIST_EACH(&worker->listeners, node)
    {
        uint64_t ms = container_of(node, struct worker_listener, node)->listener.last_connection_ms;
        last_ms = ms > last_ms ? ms : last_ms;
    }
    atomic_store_explicit(&worker->num_conns, worker->conns.num_conns, memory_order_relaxed);
    atomic_store_explicit(&worker->num_busy, busy, memory_order_relaxed);
    atomic_store_explicit(&worker->num_tunnels, tunnels, memory_order_relaxed);
    atomic_store_explicit(&worker->last_connection_ms, last_ms, memory_order_relaxed);
    struct pool_reach reach = pool_reach(worker->exchange.pool);
    atomic_store_explicit(&worker->refused_ms, reach.refused_ms, memory_order_relaxed);
    atomic_store_explicit(&worker->reached_ms, reach.reached_ms, memory_order_relaxed);
    atomic_store_explicit(&worker->alive_ms, uv_hrtime() / 1000000, memory_order_release);
}

static void worker_close_loop(void *ctx)
{
    struct worker *worker = ctx;
    encoders_cleanup(&worker->exchange.encoders);
    resolver_free(worker->resolver);
    offload_port_close(worker->port);
    net_loop_close(worker->net);
    uv_close((uv_handle_t *)&worker->wake, NULL);
}

static void worker_maybe_end(struct worker *worker)
{
    if (worker->closing || !list_empty(&worker->listeners))
        return;
    if (worker->order < WORKER_CLOSE || worker->conns.num_conns > 0)
        return;
    worker->closing = true;
    worker_report(worker);
    pool_close(worker->exchange.pool, worker_close_loop, worker);
}

static void worker_emptied(struct conn_env *env)
{
    struct worker *worker = container_of(env, struct worker, conns);
    worker_maybe_end(worker);
}

static void worker_listener_closed(struct listener *listener)
{
    struct worker_listener *closed = container_of(listener, struct worker_listener, listener);
    struct worker *worker = closed->worker;
    if (listener->last_connection_ms > worker->gone_connection_ms)
        worker->gone_connection_ms = listener->last_connection_ms;
    list_remove(&closed->node);
    mem_free(closed);
    worker_maybe_end(worker);
}

static void worker_close_listeners(struct worker *worker)
{
    LIST_EACH(&worker->listeners, node)
    listener_close(&container_of(node, struct worker_listener, node)->listener);
}

static void worker_cut(struct worker *worker)
{
    size_t tunnels;
    size_t busy = conn_num_busy(&worker->conns, &tunnels);
    atomic_store_explicit(&worker->num_tunnels_cut, tunnels, memory_order_relaxed);
    atomic_store_explicit(&worker->num_cut, busy, memory_order_release);
    conn_reset_all(&worker->conns);
}

static void worker_obey(struct worker *worker)
{
    enum worker_order order = (enum worker_order)atomic_load_explicit(&worker->ordered, memory_order_acquire);
    if (order <= worker->order)
        return;
    worker->order = order;
    worker->exchange.draining = true;
    if (order >= WORKER_LEAVE)
        worker_close_listeners(worker);
    if (order >= WORKER_CLOSE)
        conn_drain_all(&worker->conns);
    if (order == WORKER_STOP)
        worker_cut(worker);
    worker_maybe_end(worker);
}

/* ---- another configuration ---- */

/* Those of the place that are open, but for `except`. */
static void worker_leave(struct worker *worker, enum worker_place place, const struct worker_listener *except)
{
    LIST_EACH(&worker->listeners, node)
    {
        struct worker_listener *old = container_of(node, struct worker_listener, node);
        if (old->place == place && old != except)
            listener_close(&old->listener);
    }
}

static struct err worker_open(struct worker *worker, enum worker_place place, int fd, bool unix_socket,
                              struct worker_listener **out_listener);

static void worker_move(struct worker *worker, enum worker_place place, int fd, bool unix_socket)
{
    struct worker_listener *opened = NULL;
    struct err err = worker_open(worker, place, fd, unix_socket, &opened);
    if (err_is(err))
        LOG_ERROR_EVENT(worker->exchange.log, "listen_failed", LOG_INT("worker", worker->index), LOG_ERR("error", err));
    worker_leave(worker, place, opened);
}

static void worker_apply(struct worker *worker, const struct config *config)
{
    struct mail mail = {.kind = MAIL_RETIRED_CONFIG, .worker = worker->index, .ptr = (void *)worker->exchange.config};
    worker->exchange.config = config;
    resolver_set_ttl(worker->resolver, (uint64_t)config->upstream.dns_ttl_ms);
    tls_server_set_serve_unknown(worker->conns.tls, config->tls.unknown_sni == CONFIG_SNI_DEFAULT);
    pool_configure(worker->exchange.pool, config);
    if (!mailbox_post(worker->mailbox, &mail))
        config_unref(mail.ptr);
}

static void worker_take_update(struct worker *worker)
{
    struct worker_update *update = slot_take(&worker->updates);
    if (!update)
        return;
    worker_apply(worker, update->config);
    for (enum worker_place i = 0; i < NUM_WORKER_PLACES; i++) {
        if (update->places[i].kind == PLACE_MOVE)
            worker_move(worker, i, update->places[i].fd, update->places[i].unix_socket);
        else if (update->places[i].kind == PLACE_LEAVE)
            worker_leave(worker, i, NULL);
    }
    mem_free(update);
}

static void worker_woken(uv_async_t *wake)
{
    struct worker *worker = container_of(wake, struct worker, wake);
    worker_measure_lag(worker);
    if (!worker->closing)
        worker_take_update(worker); /* first: what it opens is closed again by an order that came behind it */
    worker_take_certset(worker);
    worker_obey(worker);
    if (!worker->closing)
        worker_report(worker);
}

/* ---- connections ---- */

static void worker_connection(struct listener *listener, int fd)
{
    struct worker_listener *from = container_of(listener, struct worker_listener, listener);
    conn_open(&from->worker->conns, fd, listener->unix_socket, from->place == WORKER_HTTPS);
}

static void worker_credit_changed(struct listener *listener)
{
    struct worker *worker = container_of(listener, struct worker_listener, listener)->worker;
    if (listener->paused)
        LOG_WARN_EVENT(worker->exchange.log, "accept_paused", LOG_INT("max_conns", listener->credit->max),
                       LOG_STR("msg",
                               "every connection that descriptors allow is in use; raise the limit of open files "
                               "(ulimit -n), or PORTICO_MAX_CONNS where it is set"));
    else
        LOG_INFO_EVENT(worker->exchange.log, "accept_resumed", LOG_INT("worker", worker->index));
}

static void worker_challenge_answered(struct exchange_env *env, struct slice token)
{
    struct worker *worker = container_of(env, struct worker, exchange);
    struct mail mail = {.kind = MAIL_CHALLENGE_SEEN, .worker = worker->index};
    if (token.len < sizeof mail.text) {
        memcpy(mail.text, token.ptr, token.len);
        mailbox_post(worker->mailbox, &mail); /* only hastens polling: a full box may drop it */
    }
}

/* A flood of them must neither fill the mailbox nor keep control busy. */
static void worker_name_wanted(struct conn_env *env, struct slice name, struct slice client)
{
    struct worker *worker = container_of(env, struct worker, conns);
    uint64_t now_s = net_loop_now_ms(worker->net) / 1000;
    if (!worker->exchange.config->on_demand_ask.len)
        return;
    if (now_s != worker->wishes_s)
        worker->num_wishes = 0;
    worker->wishes_s = now_s;
    if (worker->num_wishes++ >= LIMIT_DEMAND_MAILS_S)
        return;
    struct name_wish *wish = MEM_NEW(struct name_wish);
    snprintf(wish->name, sizeof wish->name, "%.*s", (int)name.len, name.ptr);
    snprintf(wish->client, sizeof wish->client, "%.*s", (int)client.len, client.ptr);
    struct mail mail = {.kind = MAIL_NAME_WANTED, .worker = worker->index, .ptr = wish};
    if (!mailbox_post(worker->mailbox, &mail))
        mem_free(wish);
}

static bool worker_name_is_raw(void *ctx, struct slice name)
{
    const struct worker *worker = ctx;
    return route_raw(worker->exchange.config, worker->exchange.certset, name) != NULL;
}

/* ---- the thread ---- */

static void worker_main(void *arg)
{
    struct worker *worker = arg;
    struct mail mail = {.kind = MAIL_ENDED, .worker = worker->index};
    sigset_t all;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* control alone handles signals */
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    while (!mailbox_post(worker->mailbox, &mail))
        uv_sleep(1); /* control empties it */
}

/* NULL where clients are not asked. */
static struct err worker_client_auth(const struct config *config, struct tls_client_auth **out_auth)
{
    *out_auth = NULL;
    if (config->tls.client_auth == CONFIG_CLIENT_AUTH_OFF)
        return ERR_OK;
    bool required = config->tls.client_auth == CONFIG_CLIENT_AUTH_REQUIRE;
    return tls_client_auth_new(config->tls.client_ca.text,
                               required ? TLS_CLIENT_AUTH_REQUIRE : TLS_CLIENT_AUTH_OPTIONAL, out_auth);
}

struct err worker_check(const struct config *config)
{
    struct tls_client_auth *auth;
    struct err err = worker_client_auth(config, &auth);
    if (!err_is(err))
        tls_client_auth_free(auth);
    return err;
}

struct worker *worker_new(const struct worker_options *options)
{
    struct worker *worker = MEM_NEW(struct worker);
    const struct config *config = options->config;
    worker->index = options->index;
    worker->mailbox = options->mailbox;
    uv_loop_init(&worker->loop);
    worker->net = net_loop_new(&worker->loop);
    worker->port = offload_port_new(&worker->loop);
    uv_async_init(&worker->loop, &worker->wake, worker_woken);
    worker->resolver =
        resolver_new(worker->net, options->resolve_pool, worker->port, (uint64_t)config->upstream.dns_ttl_ms);
    struct pool_options pool = {
        .loop = worker->net, .resolver = worker->resolver, .counters = &worker->counters, .log = options->log};
    worker->exchange = (struct exchange_env){
        .loop = worker->net,
        .pool = pool_new(&pool),
        .passwords = passwords_new(worker->net, options->password_pool, worker->port, &worker->counters),
        .counters = &worker->counters,
        .log = options->log,
        .clock = &clock_system,
        .config = config_ref(config),
        .certset = options->certset,
        .challenge_answered = worker_challenge_answered};
    pool_watch(worker->exchange.pool, config);
    struct tls_server_options tls = {.policy = config->tls.policy == CONFIG_TLS_MODERN ? TLS_POLICY_MODERN
                                                                                       : TLS_POLICY_INTERMEDIATE,
                                     .serve_unknown = config->tls.unknown_sni == CONFIG_SNI_DEFAULT,
                                     .current = &worker->exchange.certset,
                                     .protocols = worker_protocols + (config->client.http2 ? 0 : 1),
                                     .local_ip = conn_local_ip,
                                     .unknown = conn_unknown_name,
                                     .without_alpn = worker_name_is_raw,
                                     .without_alpn_ctx = worker,
                                     .signer = {.pool = options->sign_pool, .port = worker->port}};
    if (err_is(worker_client_auth(config, &tls.client_auth)))
        abort(); /* worker_check would have said so */
    worker->conns = (struct conn_env){.exchange = &worker->exchange,
                                      .tls = tls_server_new(&tls),
                                      .credit = options->credit,
                                      .wanted = worker_name_wanted,
                                      .emptied = worker_emptied};
    list_init(&worker->conns.conns);
    list_init(&worker->listeners);
    atomic_store(&worker->generation, options->certset->generation);
    atomic_store(&worker->alive_ms, uv_hrtime() / 1000000);
    return worker;
}

static struct err worker_open(struct worker *worker, enum worker_place place, int fd, bool unix_socket,
                              struct worker_listener **out_listener)
{
    struct worker_listener *opened = MEM_NEW(struct worker_listener);
    opened->worker = worker;
    opened->place = place;
    opened->listener.connection = worker_connection;
    opened->listener.credit_changed = worker_credit_changed;
    opened->listener.closed = worker_listener_closed;
    struct err err = listener_open(&opened->listener, worker->net, fd, unix_socket, worker->conns.credit);
    if (err_is(err)) {
        close(fd);
        mem_free(opened);
        return err;
    }
    list_append(&worker->listeners, &opened->node);
    *out_listener = opened;
    return ERR_OK;
}

struct err worker_listen(struct worker *worker, int fd, bool unix_socket, bool secure)
{
    struct worker_listener *opened;
    return worker_open(worker, secure ? WORKER_HTTPS : WORKER_HTTP, fd, unix_socket, &opened);
}

struct err worker_start(struct worker *worker)
{
    int status = uv_thread_create(&worker->thread, worker_main, worker);
    worker->started = status == 0;
    return status < 0 ? err_make(ERR_UV, status, "start a worker thread") : ERR_OK;
}

static void update_free(struct worker_update *update)
{
    if (!update)
        return;
    for (enum worker_place i = 0; i < NUM_WORKER_PLACES; i++)
        if (update->places[i].kind == PLACE_MOVE)
            close(update->places[i].fd);
    config_unref(update->config);
    mem_free(update);
}

void worker_join(struct worker *worker)
{
    if (worker->started) {
        uv_thread_join(&worker->thread);
    } else { /* never ran: end it on this thread */
        worker_order(worker, WORKER_STOP);
        uv_run(&worker->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&worker->loop);
    passwords_free(worker->exchange.passwords);
    tls_server_free(worker->conns.tls);
    update_free(slot_take(&worker->updates));
    certset_unref(slot_take(&worker->certsets));
    certset_unref(worker->exchange.certset);
    config_unref(worker->exchange.config);
    mem_free(worker);
}

/* ---- control's side ---- */

void worker_publish(struct worker *worker, struct certset *set)
{
    certset_unref(slot_put(&worker->certsets, set, &worker->wake));
}

void worker_configure(struct worker *worker, const struct worker_update *update)
{
    struct worker_update *next = MEM_NEW(struct worker_update), *unread = slot_take(&worker->updates);
    *next = *update;
    for (enum worker_place i = 0; unread && i < NUM_WORKER_PLACES; i++)
        if (next->places[i].kind == PLACE_STAY) {
            next->places[i] = unread->places[i];
            unread->places[i].kind = PLACE_STAY;
        }
    update_free(unread);
    slot_put(&worker->updates, next, &worker->wake);
}

void worker_order(struct worker *worker, enum worker_order order)
{
    atomic_store_explicit(&worker->ordered, order, memory_order_release);
    uv_async_send(&worker->wake);
}

uint64_t worker_generation(const struct worker *worker)
{
    return atomic_load_explicit(&worker->generation, memory_order_acquire);
}

void worker_ping(struct worker *worker)
{
    uint64_t none = 0; /* of pings that wait, the first tells how long */
    atomic_compare_exchange_strong_explicit(&worker->pinged_ns, &none, uv_hrtime(), memory_order_relaxed,
                                            memory_order_relaxed);
    uv_async_send(&worker->wake);
}

uint64_t worker_alive_ms(const struct worker *worker)
{
    return atomic_load_explicit(&worker->alive_ms, memory_order_acquire);
}

const struct counters *worker_counters(const struct worker *worker)
{
    return &worker->counters;
}

struct worker_load worker_load(const struct worker *worker)
{
    return (struct worker_load){
        .num_conns = atomic_load_explicit(&worker->num_conns, memory_order_relaxed),
        .num_busy = atomic_load_explicit(&worker->num_busy, memory_order_relaxed),
        .num_tunnels = atomic_load_explicit(&worker->num_tunnels, memory_order_relaxed),
        .num_cut = atomic_load_explicit(&worker->num_cut, memory_order_relaxed),
        .num_tunnels_cut = atomic_load_explicit(&worker->num_tunnels_cut, memory_order_relaxed),
        .last_connection_ms = atomic_load_explicit(&worker->last_connection_ms, memory_order_relaxed),
        .lag_us = atomic_load_explicit(&worker->lag_us, memory_order_relaxed),
        .reach = {.refused_ms = atomic_load_explicit(&worker->refused_ms, memory_order_relaxed),
                  .reached_ms = atomic_load_explicit(&worker->reached_ms, memory_order_relaxed)}};
}
