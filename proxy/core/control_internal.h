/* control_internal: what the parts of control share. control.c is its life: signals, ticks, draining, the end;
 * control_assemble.c makes and joins what it owns; control_hooks.c what is called outside; control_workers.c speaks with the
 * workers, and with those who wait for them to serve. Private to core/control*.c. */
#ifndef CORE_CONTROL_INTERNAL_H
#define CORE_CONTROL_INTERNAL_H

#include "core/control.h"

#include "certs/ca_transport.h"
#include "certs/demand_ask.h"
#include "certs/dns_hook.h"
#include "certs/export.h"
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
#include "store/seal.h"

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
    POOL_KEY_THREADS = 1, /* each may hold a processor for seconds; a pool apart, so that no handshake waits for it */
    POOL_NICE = 10,
    POOL_KEY_NICE = 19,
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
    struct offload_pool *resolve_pool, *sign_pool, *password_pool, *disk_pool, *key_pool;
    struct offload_port *port;
    struct resolver *resolver;
    struct mailbox *mailbox;
    struct store *store;           /* with its seal */
    const struct store *directory; /* below it, and its own */
    struct ca_transport *ca;
    struct export *export; /* NULL without EXPORT_DIR */
    struct runner *runner; /* NULL: no program is run */
    struct err runner_err;
    struct dns *dns;
    struct preflight *preflight;
    struct dns_hook *dns_hook; /* NULL: none */
    size_t num_hooks_closing;
    struct demand_ask *demand_ask;
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

/* Monotonic, the same on every thread. */
static inline uint64_t control_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- control_workers.c ---- */

void control_notify_ready(struct control *control);
void control_start_watchdog(struct control *control);
void control_offer_handover(struct control *control, bool over);
void control_publish(void *ctx, struct certset *set);
void control_acknowledge(struct control *control);
void control_read_mail(void *ctx, const struct mail *mail);

/* ---- control_assemble.c ---- */

void control_watchdog(struct tick *tick);
void control_make_desk(struct control *control);
bool control_start_admin(struct control *control);
struct replace_parts control_parts(struct control *control);
void control_make_reload(struct control *control);
void control_start(struct control *control);

/* HTTPS_PROXY and NO_PROXY. */
struct https_proxy_options control_https_proxy(void);

/* ---- control_hooks.c ---- */

/* Before the sandbox, threads and loops. */
void control_fork_runner(struct control *control);
void control_init_hooks(struct control *control);
bool control_start_hook(struct control *control);
void control_make_demand_ask(struct control *control);
/* ctx: control. NULL where the configuration has none. */
MUST_CHECK struct err control_make_hook(void *ctx, const struct config *config, struct dns_hook **out_hook);
/* ctx: control, which does not end before its records are removed. NULL is fine. */
void control_close_hook(void *ctx, struct dns_hook *hook);
void control_end_hooks(struct control *control);

/* ---- control.c ---- */

void control_worker_ended(struct control *control);
void control_begin_stop(struct control *control);
void control_begin_drain(struct control *control);

#endif
