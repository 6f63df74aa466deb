#include "acme/account.h"

#include "acme/account_document.h"
#include "acme/engine.h"
#include "acme/jwk.h"
#include "base/log.h"
#include "base/mem.h"

enum { ACCOUNT_DIRECTORY_MAX_AGE_MS = 6 * 3600 * 1000 };

#define ACCOUNT_LOOK_UP "{\"onlyReturnExisting\":true}"

static void account_register(struct acme *acme);

void account_init(struct account *account)
{
    *account = (struct account){0};
    list_init(&account->waiters);
}

void account_cleanup(struct account *account, struct acme *acme)
{
    request_cancel(&account->request);
    if (account->busy && account->store_call.done)
        acme->world.store->ops->cancel(acme->world.store, &account->store_call);
    LIST_EACH(&account->waiters, node)
    list_remove(node);
    key_free(account->key);
    key_free(account->next_key);
    buf_cleanup(&account->url);
    buf_cleanup(&account->thumbprint);
    buf_cleanup(&account->record_key);
    buf_cleanup(&account->contact);
}

void account_set_key(struct account *account, struct evp_pkey_st *key)
{
    key_free(account->key);
    account->key = key;
    account->thumbprint.len = 0;
    jwk_thumbprint(key, &account->thumbprint);
}

void account_give_key(struct account *account, struct evp_pkey_st *key)
{
    account_set_key(account, key);
    account->key_given = true;
}

void account_stop_waiting(struct account_waiter *waiter)
{
    list_remove(&waiter->node);
}

/* Those who want no more than `want`. Whoever waits anew from within its `done` waits for the next round. */
static void account_tell(struct acme *acme, enum account_want want, const struct problem *problem)
{
    struct list told;
    list_init(&told);
    LIST_EACH(&acme->account.waiters, node)
    {
        if (container_of(node, struct account_waiter, node)->want < want)
            continue;
        list_remove(node);
        list_append(&told, node);
    }
    for (struct list *node; (node = list_first(&told));) {
        struct account_waiter *waiter = container_of(node, struct account_waiter, node);
        list_remove(node);
        waiter->done(waiter, problem);
    }
}

static enum account_want account_most_wanted(const struct acme *acme)
{
    enum account_want most = DIRECTORY_WANTED;
    LIST_EACH(&acme->account.waiters, node)
    {
        enum account_want want = container_of(node, const struct account_waiter, node)->want;
        most = want < most ? want : most;
    }
    return most;
}

/* All who want an account. Those who want the directory alone go on waiting for it. */
static void account_tell_failure(struct acme *acme, const struct problem *problem)
{
    struct list others;
    list_init(&others);
    LIST_EACH(&acme->account.waiters, node)
    if (container_of(node, struct account_waiter, node)->want == DIRECTORY_WANTED) {
        list_remove(node);
        list_append(&others, node);
    }
    account_tell(acme, ACCOUNT_WANTED, problem);
    LIST_EACH(&others, node)
    {
        list_remove(node);
        account_wait(acme, container_of(node, struct account_waiter, node));
    }
}

void account_fail(struct acme *acme, enum problem_class class, struct err err, struct slice detail)
{
    struct arena arena = {0};
    struct problem problem = problem_local(&arena, class, err, detail);
    account_tell_failure(acme, &problem);
    arena_cleanup(&arena);
}

static void account_fail_reply(struct acme *acme, const struct acme_reply *reply)
{
    struct arena arena = {0};
    struct problem problem = problem_of_reply(&arena, reply, PROBLEM_AT_ACCOUNT, acme_wall_s(acme));
    account_tell_failure(acme, &problem);
    arena_cleanup(&arena);
}

void account_fail_store(struct acme *acme, const char *doing, enum store_result result)
{
    struct buf detail = {0};
    buf_printf(&detail, "%s (record %.*s): %s; nothing is ordered%s", doing, (int)acme->account.record_key.len,
               acme->account.record_key.ptr, store_result_text(result), store_result_cure(result));
    account_fail(acme, PROBLEM_LOCAL, err_make(ERR_STATE, (int)result, doing), buf_slice(&detail));
    buf_cleanup(&detail);
}

struct acme *account_of_store_call(struct store_call *call)
{
    struct account *account = container_of(call, struct account, store_call);
    account->busy = false;
    call->done = NULL;
    return container_of(account, struct acme, account);
}

static struct acme *account_of_request(struct request *request)
{
    request->acme->account.busy = false;
    return request->acme;
}

void account_keep_contact(struct acme *acme)
{
    acme->account.contact.len = 0;
    buf_append_slice(&acme->account.contact, acme->options.email);
}

void account_announce(struct acme *acme)
{
    acme->announce = true;
    acme_need_wake(acme, acme_mono_ms(acme));
}

/* --- the directory --- */

static void account_directory_came(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = account_of_request(request);
    struct arena arena = {0};
    struct problem problem;
    struct directory directory;
    struct err err = ERR_OK;
    bool came = !err_is(reply->err) && reply->status == 200;
    if (came)
        err = directory_read(reply->body, &directory);
    if (came && !err_is(err)) {
        directory_cleanup(&acme->directory);
        acme->directory = directory;
        acme->directory_read_ms = acme_mono_ms(acme);
        account_advance(acme);
        return;
    }
    problem = came ? problem_local(&arena, PROBLEM_TRANSIENT, err, slice_str(err.what))
                   : problem_of_reply(&arena, reply, PROBLEM_AT_ACCOUNT, acme_wall_s(acme));
    account_tell(acme, ACCOUNT_WANTED, &problem);
    arena_cleanup(&arena);
}

static bool account_has_directory(const struct acme *acme)
{
    return acme->directory.new_order.ptr && acme_mono_ms(acme) - acme->directory_read_ms < ACCOUNT_DIRECTORY_MAX_AGE_MS;
}

/* --- at the CA --- */

static void account_url_was_stored(struct store_call *call, enum store_result result,
                                   const struct store_record *records, size_t num_records)
{
    struct acme *acme = account_of_store_call(call);
    (void)records;
    (void)num_records;
    if (result != STORE_OK) /* the key is safe, and the URL can be asked for again (ACME-30) */
        LOG_WARN_EVENT(acme->world.log, "acme_account_not_stored",
                       LOG_STR("msg", "the account's URL could not be stored and will be looked up at the next start"),
                       LOG_STR("result", store_result_text(result)));
    account_advance(acme);
}

static void account_is_known(struct acme *acme, const struct acme_reply *reply)
{
    struct account *account = &acme->account;
    if (!request_url_is_valid(reply->location)) {
        account_fail(acme, PROBLEM_TRANSIENT, err_make(ERR_INPUT, reply->status, "account"),
                     SLICE_LIT("the CA gave no usable URL of the account"));
        return;
    }
    if (!account_document_is_usable(reply->body)) {
        account_fail(acme, PROBLEM_ACCOUNT, err_make(ERR_STATE, 0, "account"),
                     SLICE_LIT("the ACME account has been deactivated or revoked; another account key is needed"));
        return;
    }
    account->url.len = 0;
    buf_append_slice(&account->url, reply->location);
    account->state = ACCOUNT_READY;
    key_free(account->next_key); /* an exchange that did not come about */
    account->next_key = NULL;
    if (reply->status == 201) /* an account that was there keeps what it had */
        account_keep_contact(acme);
    LOG_INFO_EVENT(acme->world.log, reply->status == 201 ? "acme_account_created" : "acme_account_found", /* ACME-28 */
                   LOG_SLICE("account", buf_slice(&account->url)));
    account_write(acme, STORE_ANY, account_url_was_stored);
}

static void account_registered(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = account_of_request(request);
    if (!err_is(reply->err) && (reply->status == 200 || reply->status == 201)) {
        account_is_known(acme, reply);
    } else if (!acme->account.without_contact && account_reply_refuses_contact(reply)) {
        acme->account.without_contact = true;
        LOG_WARN_EVENT(acme->world.log, "acme_contact_refused",
                       LOG_STR("msg", "the CA does not take the e-mail address; registering without one"));
        account_register(acme);
    } else {
        account_fail_reply(acme, reply);
    }
}

/* What we know will be refused, or must not be tried. */
static bool account_may_register(struct acme *acme)
{
    struct buf detail = {0};
    if (acme->directory.terms_url.ptr && !acme->options.accept_terms) /* ACME-26 */
        buf_printf(
            &detail,
            "the CA's terms of service must be accepted first: read %.*s, then set PORTICO_ACME_ACCEPT_TERMS=true",
            (int)acme->directory.terms_url.len, acme->directory.terms_url.ptr);
    else if (acme->directory.external_account_required && acme->options.eab_kid.len == 0) /* ACME-25 */
        buf_append_str(&detail, "the CA wants an external account binding: ask it for a key id and an HMAC key");
    bool may = detail.len == 0;
    if (!may)
        account_fail(acme, PROBLEM_ACCOUNT, err_make(ERR_STATE, 0, "register"), buf_slice(&detail));
    buf_cleanup(&detail);
    return may;
}

static void account_ask(struct acme *acme, struct slice payload,
                        void (*done)(struct request *request, const struct acme_reply *reply))
{
    acme->account.busy = true;
    request_send(&acme->account.request, acme, REQUEST_BY_KEY, acme->directory.new_account, payload, false, done);
}

static void account_register(struct acme *acme)
{
    struct buf payload = {0};
    if (!account_may_register(acme))
        return;
    struct err err = account_document_registration(&acme->options, !acme->account.without_contact, acme->account.key,
                                                   acme->directory.new_account, &payload);
    if (err_is(err))
        account_fail(acme, PROBLEM_ACCOUNT, err, slice_str(err.what));
    else
        account_ask(acme, buf_slice(&payload), account_registered);
    buf_cleanup(&payload);
}

/* Those who want it made have it made. */
static void account_is_missing(struct acme *acme)
{
    if (account_most_wanted(acme) == ACCOUNT_WANTED)
        account_register(acme);
    else
        account_fail(acme, PROBLEM_ACCOUNT, err_make(ERR_STATE, 0, "account"),
                     SLICE_LIT("there is no ACME account yet; the first order makes one"));
}

static void account_looked_up(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = account_of_request(request);
    if (!err_is(reply->err) && (reply->status == 200 || reply->status == 201))
        account_is_known(acme, reply);
    else if (account_reply_says_unknown(reply))
        account_is_missing(acme);
    else
        account_fail_reply(acme, reply);
}

/* --- which of two keys (ACME-36) --- */

void account_exchanged(struct acme *acme)
{
    struct account *account = &acme->account;
    account_set_key(account, account->next_key);
    account->next_key = NULL;
    account->key_doubtful = false;
    account->state = account->url.len ? ACCOUNT_READY : ACCOUNT_KEYED;
    LOG_INFO_EVENT(acme->world.log, "acme_account_key_exchanged", LOG_SLICE("account", buf_slice(&account->url)),
                   LOG_SLICE("thumbprint", buf_slice(&account->thumbprint)));
    account_announce(acme);
    account_write(acme, STORE_ANY, account_url_was_stored);
}

static void account_asked_with_next(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = account_of_request(request);
    struct account *account = &acme->account;
    if (!err_is(reply->err) && (reply->status == 200 || reply->status == 201)) {
        account_exchanged(acme);
    } else if (account_reply_says_unknown(reply)) { /* then the old one must be known; only that ends the doubt */
        account->key_doubtful = false;
        account->state = ACCOUNT_KEYED;
        account_advance(acme);
    } else {
        account_fail_reply(acme, reply);
    }
}

static void account_ask_with_next(struct acme *acme)
{
    struct account *account = &acme->account;
    account->busy = true;
    request_send_by_key(&account->request, acme, account->next_key, acme->directory.new_account,
                        SLICE_LIT(ACCOUNT_LOOK_UP), account_asked_with_next);
}

/* --- another contact (RFC 8555 §7.3.2) --- */

static bool account_has_news(const struct acme *acme)
{
    const struct account *account = &acme->account;
    return !account->contact_told && !account->without_contact &&
           !slice_eq(buf_slice(&account->contact), acme->options.email);
}

/* Whatever the CA says of it, orders go on. */
static void account_updated(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = account_of_request(request);
    bool taken = !err_is(reply->err) && reply->status == 200, refused = !taken && account_reply_refuses_contact(reply);
    if (taken)
        LOG_INFO_EVENT(acme->world.log, "acme_account_updated", LOG_SLICE("account", buf_slice(&acme->account.url)));
    else
        LOG_WARN_EVENT(acme->world.log, refused ? "acme_contact_refused" : "acme_account_not_updated",
                       LOG_SLICE("account", buf_slice(&acme->account.url)), LOG_INT("status", reply->status),
                       LOG_STR("msg", "the CA's account keeps the e-mail address that it had"));
    if (!taken && !refused) {
        account_advance(acme);
        return;
    }
    account_keep_contact(acme);
    account_write(acme, STORE_ANY, account_url_was_stored);
}

static void account_update(struct acme *acme)
{
    struct account *account = &acme->account;
    struct buf payload = {0};
    account_document_contact(acme->options.email, &payload);
    account->busy = account->contact_told = true;
    request_send(&account->request, acme, REQUEST_BY_ACCOUNT, buf_slice(&account->url), buf_slice(&payload), false,
                 account_updated);
    buf_cleanup(&payload);
}

/* --- the way from UNREAD to READY --- */

bool account_is_ready(const struct acme *acme)
{
    const struct account *account = &acme->account;
    return !account->busy && account->state == ACCOUNT_READY && !account->key_doubtful && account_has_directory(acme) &&
           !account_has_news(acme);
}

/* Past the directory. */
static void account_advance_at_ca(struct acme *acme)
{
    struct account *account = &acme->account;
    if (account->key_doubtful)
        account_ask_with_next(acme);
    else if (account->state == ACCOUNT_KEYED)
        account_ask(acme, SLICE_LIT(ACCOUNT_LOOK_UP), account_looked_up); /* ACME-30 */
    else if (account_has_news(acme))
        account_update(acme);
    else
        account_tell(acme, ACCOUNT_WANTED, NULL);
}

void account_advance(struct acme *acme)
{
    struct account *account = &acme->account;
    if (account->busy)
        return;
    bool unread = account->state == ACCOUNT_UNREAD;
    if (list_empty(&account->waiters) && (account->read_once || !unread))
        return; /* nothing is asked of the CA, and no key is made, before somebody orders */
    enum account_want want = account_most_wanted(acme);
    if (unread && (want < DIRECTORY_WANTED || !account->read_once)) {
        account_read(acme);
    } else if (account->state == ACCOUNT_EMPTY && want == ACCOUNT_WANTED) {
        account_make_key(acme);
    } else if (!account_has_directory(acme)) {
        account->busy = true;
        request_send(&account->request, acme, REQUEST_PLAIN, acme->options.directory_url, SLICE_LIT(""), false,
                     account_directory_came);
    } else {
        account_tell(acme, DIRECTORY_WANTED, NULL);
        if (account->state == ACCOUNT_EMPTY && want == ACCOUNT_WANTED_AS_IT_IS)
            account_is_missing(acme);
        else if (want < DIRECTORY_WANTED)
            account_advance_at_ca(acme);
    }
}

void account_wait(struct acme *acme, struct account_waiter *waiter)
{
    list_append(&acme->account.waiters, &waiter->node);
    acme_need_wake(acme, acme_mono_ms(acme)); /* acme_wake advances */
}

bool account_lost(struct acme *acme, struct slice url)
{
    struct account *account = &acme->account;
    if (account->state != ACCOUNT_READY || !slice_eq(buf_slice(&account->url), url))
        return true; /* another order saw it first */
    if (account->replaced_once)
        return false; /* ACME-37: not in a loop */
    LOG_WARN_EVENT(acme->world.log, "acme_account_lost", LOG_SLICE("account", url),
                   LOG_STR("msg", "the CA does not know our account any more; registering again"));
    account->replaced_once = true;
    account->state = ACCOUNT_KEYED;
    account->url.len = 0;
    return true;
}

void account_proven(struct acme *acme)
{
    acme->account.replaced_once = false;
}
