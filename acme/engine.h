/* engine: what the parts of the engine share. Internal to acme/; who uses the engine includes acme/acme.h alone. */
#ifndef ACME_ENGINE_H
#define ACME_ENGINE_H

#include "acme/account.h"
#include "acme/acme.h"
#include "acme/clock_guard.h"
#include "acme/directory.h"
#include "acme/leftovers.h"
#include "acme/nonce.h"
#include "acme/request.h"
#include "base/list.h"

struct acme {
    struct acme_world world;
    struct arena arena; /* of the options */
    struct acme_options options;
    struct buf eab_hmac_key; /* what options.eab_hmac_key points at: a secret */

    struct nonce_pool nonces;
    struct directory directory; /* new_order.ptr NULL: not read yet */
    int64_t directory_read_ms;  /* monotonic */
    struct account account;
    struct clock_guard clock_guard;
    struct leftovers leftovers;

    struct list queued, running, finished; /* orders */
    size_t num_running;
    struct list calls, answered;        /* of struct acme_call: under way; `done` is due */
    struct acme_account_change *change; /* under way */
    int64_t due_ms;                     /* the earliest wake that is needed; INT64_MAX: none */
    bool waking;                        /* within acme_wake, which asks for the next wake at its end */
    bool announce;                      /* account_known is due */
};

int64_t acme_mono_ms(const struct acme *acme);
int64_t acme_wall_s(const struct acme *acme);
/* Asks to be woken at mono_ms at the latest. */
void acme_need_wake(struct acme *acme, int64_t mono_ms);

#endif
