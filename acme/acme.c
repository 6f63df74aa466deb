#include "acme/acme.h"

#include "acme/account_change.h"
#include "acme/call.h"
#include "acme/engine.h"
#include "acme/jws.h"
#include "acme/order.h"
#include "base/mem.h"

int64_t acme_mono_ms(const struct acme *acme)
{
    return acme->world.clock->mono_ms(acme->world.clock);
}

int64_t acme_wall_s(const struct acme *acme)
{
    return acme->world.clock->wall_ms(acme->world.clock) / 1000;
}

void acme_need_wake(struct acme *acme, int64_t mono_ms)
{
    if (mono_ms >= acme->due_ms)
        return;
    acme->due_ms = mono_ms;
    if (!acme->waking)
        acme->world.wake_at(acme->world.ctx, mono_ms);
}

/* One address, and nothing of what a mailto: URL could smuggle (ACME-27). */
static bool acme_email_is_fit(struct slice email)
{
    size_t num_ats = 0;
    for (size_t i = 0; i < email.len; i++) {
        unsigned char c = (unsigned char)email.ptr[i];
        num_ats += c == '@';
        if (c <= ' ' || c >= 0x7f || strchr("?,;:<>\"%#&", c))
            return false;
    }
    return email.len == 0 || (num_ats == 1 && email.ptr[0] != '@' && email.ptr[email.len - 1] != '@');
}

static struct err acme_check_options(const struct acme_options *options)
{
    if (!request_url_is_valid(options->directory_url)) /* ACME-1 */
        return err_make(ERR_INPUT, 0, "the ACME directory is not an https URL");
    if (!acme_email_is_fit(options->email))
        return err_make(ERR_INPUT, 0, "the ACME contact is not one e-mail address");
    if ((options->eab_kid.len == 0) != (options->eab_hmac_key.len == 0))
        return err_make(ERR_INPUT, 0, "external account binding needs a key id and an HMAC key");
    return ERR_OK;
}

static struct err acme_read_given_key(struct slice pem, struct evp_pkey_st **out_key)
{
    struct evp_pkey_st *key = NULL;
    *out_key = NULL;
    if (pem.len == 0)
        return ERR_OK;
    struct err err = key_read_pem(pem, &key);
    if (err_is(err))
        return err;
    if (!jws_algorithm(key)) {
        key_free(key);
        return err_make(ERR_INPUT, 0, "account key is neither P-256 nor P-384 nor RSA of 2048 bits and more");
    }
    *out_key = key;
    return ERR_OK;
}

static void acme_copy_options(struct acme *acme, const struct acme_options *options)
{
    buf_append_slice(&acme->eab_hmac_key, options->eab_hmac_key);
    acme->options = (struct acme_options){
        .directory_url = arena_copy(&acme->arena, options->directory_url),
        .accept_terms = options->accept_terms,
        .email = arena_copy(&acme->arena, options->email),
        .eab_kid = arena_copy(&acme->arena, options->eab_kid),
        .eab_hmac_key = buf_slice(&acme->eab_hmac_key),
        .eab_mac = options->eab_mac,
        .max_running = options->max_running ? options->max_running : ACME_DEFAULT_RUNNING,
    };
}

struct err acme_new(const struct acme_world *world, const struct acme_options *options, struct acme **out_acme)
{
    struct evp_pkey_st *given_key = NULL;
    struct err err = acme_check_options(options);
    if (!err_is(err))
        err = acme_read_given_key(options->account_key_pem, &given_key);
    if (err_is(err))
        return err;
    struct acme *acme = MEM_NEW(struct acme);
    acme->world = *world;
    acme_copy_options(acme, options);
    account_init(&acme->account);
    leftovers_init(&acme->leftovers);
    list_init(&acme->queued);
    list_init(&acme->running);
    list_init(&acme->finished);
    list_init(&acme->calls);
    list_init(&acme->answered);
    acme->due_ms = INT64_MAX;
    if (given_key) {
        account_give_key(&acme->account, given_key);
        acme->announce = true;
    }
    acme_need_wake(acme, acme_mono_ms(acme));
    *out_acme = acme;
    return ERR_OK;
}

static void acme_free_orders(struct list *orders)
{
    LIST_EACH(orders, node)
    order_free(container_of(node, struct acme_order, node));
}

void acme_free(struct acme *acme)
{
    if (!acme)
        return;
    call_cancel_all(acme);
    acme_free_orders(&acme->queued);
    acme_free_orders(&acme->running);
    acme_free_orders(&acme->finished);
    leftovers_cleanup(&acme->leftovers);
    account_cleanup(&acme->account, acme);
    nonce_pool_cleanup(&acme->nonces);
    directory_cleanup(&acme->directory);
    buf_cleanup_secret(&acme->eab_hmac_key);
    arena_cleanup(&acme->arena);
    mem_free(acme);
}

static void acme_admit_orders(struct acme *acme)
{
    struct list *node;
    if (account_change_holds_orders(acme))
        return;
    while (acme->num_running < acme->options.max_running && (node = list_first(&acme->queued))) {
        list_remove(node);
        list_append(&acme->running, node);
        acme->num_running++;
        order_start(container_of(node, struct acme_order, node));
    }
}

static void acme_wake_orders(struct acme *acme)
{
    int64_t now_ms = acme_mono_ms(acme);
    LIST_EACH(&acme->running, node)
    order_wake(container_of(node, struct acme_order, node), now_ms);
}

static void acme_announce_account(struct acme *acme)
{
    if (!acme->announce)
        return;
    acme->announce = false;
    if (acme->world.account_known)
        acme->world.account_known(acme->world.ctx, acme_thumbprint(acme));
}

static void acme_tell_finished(struct acme *acme)
{
    for (struct list *node; (node = list_first(&acme->finished));) {
        list_remove(node);
        order_tell(container_of(node, struct acme_order, node));
    }
}

static void acme_ask_next_wake(struct acme *acme)
{
    LIST_EACH(&acme->running, node)
    {
        const struct acme_order *order = container_of(node, struct acme_order, node);
        if (order->phase == ORDER_AT_WAITING && order->wake_ms < acme->due_ms)
            acme->due_ms = order->wake_ms;
    }
    acme->world.wake_at(acme->world.ctx, acme->due_ms);
}

void acme_wake(struct acme *acme)
{
    acme->waking = true;
    acme->due_ms = INT64_MAX;
    acme_announce_account(acme);
    acme_wake_orders(acme);
    acme_tell_finished(acme);
    call_tell_all(acme);
    acme_admit_orders(acme);
    account_change_advance(acme);
    account_advance(acme);
    acme->waking = false;
    acme_ask_next_wake(acme);
}

struct slice acme_thumbprint(const struct acme *acme)
{
    /* A key that is not durably stored is not ours yet. */
    bool known = acme->account.key && (acme->account.key_given || acme->account.state >= ACCOUNT_KEYED);
    return known ? buf_slice(&acme->account.thumbprint) : SLICE_NONE;
}

struct slice acme_account_url(const struct acme *acme)
{
    return acme->account.state == ACCOUNT_READY ? buf_slice(&acme->account.url) : SLICE_NONE;
}

size_t acme_caa_identities(const struct acme *acme, const struct slice **out_identities)
{
    *out_identities = acme->directory.caa_identities;
    return acme->directory.num_caa_identities;
}

int64_t acme_clock_skew_ms(const struct acme *acme)
{
    return acme->clock_guard.skew_ms;
}

struct acme_order *acme_order_new(struct acme *acme, const struct acme_order_spec *spec)
{
    struct acme_order *order = order_new(acme, spec);
    list_append(&acme->queued, &order->node);
    acme_need_wake(acme, acme_mono_ms(acme));
    return order;
}

void acme_order_cancel(struct acme_order *order)
{
    struct acme *acme = order->acme;
    if (order->telling)
        return;
    if (order->phase != ORDER_AT_QUEUED && order->phase != ORDER_AT_FINISHED) {
        acme->num_running--;
        acme_need_wake(acme, acme_mono_ms(acme)); /* another may run */
    }
    order_free(order);
}
