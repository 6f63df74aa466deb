#include "acme/account_change.h"

#include "acme/account_document.h"
#include "acme/engine.h"
#include "acme/jws.h"
#include "acme/key.h"
#include "base/json_write.h"
#include "base/log.h"

#include <stdio.h>

static struct acme_account_change *change_of_call(struct acme_call *call)
{
    return container_of(call, struct acme_account_change, call);
}

static bool change_is_exclusive(const struct acme_account_change *change)
{
    return change->kind != ACME_CHANGE_CONTACT;
}

/* ---- storing ---- */

static void change_fail_store(struct acme_account_change *change, const char *doing, enum store_result result)
{
    char detail[160];
    snprintf(detail, sizeof detail, "%s: %s", doing, store_result_text(result));
    call_fail_with(&change->call, PROBLEM_LOCAL, err_make(ERR_STATE, (int)result, "account"), detail);
}

/* The change whose writing has ended; NULL where it was canceled meanwhile (another may have begun). */
static struct acme_account_change *change_that_stored(const struct acme *acme)
{
    struct acme_account_change *change = acme->change;
    if (!change || !change->storing)
        return NULL;
    change->storing = false;
    return change;
}

/* What the CA has taken is written: the change has come about, stored or not. */
static void change_was_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                              size_t num_records)
{
    struct acme *acme = account_of_store_call(call);
    (void)records, (void)num_records;
    if (result != STORE_OK)
        LOG_WARN_EVENT(acme->world.log, "acme_account_not_stored",
                       LOG_STR("msg", "the change of the account could not be stored; it is looked up again later"),
                       LOG_STR("result", store_result_text(result)));
    struct acme_account_change *change = change_that_stored(acme);
    if (change)
        call_end(&change->call);
    account_advance(acme);
}

/* ---- contact ---- */

static void change_contact_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_call *call = container_of(request, struct acme_call, request);
    struct acme *acme = call->acme;
    acme->account.busy = false;
    if (err_is(reply->err) || reply->status != 200) {
        call_fail_reply(call, reply, PROBLEM_AT_ACCOUNT);
        account_advance(acme);
        return;
    }
    LOG_INFO_EVENT(acme->world.log, "acme_account_updated", LOG_SLICE("account", buf_slice(&acme->account.url)));
    account_keep_contact(acme);
    change_of_call(call)->storing = true;
    account_write(acme, STORE_ANY, change_was_stored);
}

static void change_ask(struct acme_account_change *change, struct slice url, struct slice payload,
                       void (*done)(struct request *request, const struct acme_reply *reply))
{
    struct acme *acme = change->call.acme;
    acme->account.busy = true; /* nobody signs with a key that may be gone before the answer is here */
    change->sent = true;
    request_send(&change->call.request, acme, REQUEST_BY_ACCOUNT, url, payload, false, done);
}

static void change_contact(struct acme_account_change *change)
{
    struct acme *acme = change->call.acme;
    struct buf payload = {0};
    account_document_contact(acme->options.email, &payload);
    change_ask(change, buf_slice(&acme->account.url), buf_slice(&payload), change_contact_answered);
    buf_cleanup(&payload);
}

/* ---- another key (RFC 8555 §7.3.5, ACME-36) ---- */

/* The new key signs that it is to follow the old one; the request around it is signed by the old one. */
static struct err change_write_inner(const struct acme *acme, struct buf *out)
{
    const struct account *account = &acme->account;
    struct buf payload = {0};
    account_document_exchange(buf_slice(&account->url), account->key, &payload);
    struct jws_request inner = {
        .key = account->next_key, .url = acme->directory.key_change, .payload = buf_slice(&payload)};
    struct err err = jws_sign(&inner, out);
    buf_cleanup(&payload);
    return err;
}

static void change_key_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_call *call = container_of(request, struct acme_call, request);
    struct acme *acme = call->acme;
    acme->account.busy = false;
    if (!err_is(reply->err) && reply->status == 200) {
        account_exchanged(acme);
        call_end(call);
        return;
    }
    call->problem = problem_of_reply(&call->arena, reply, PROBLEM_AT_ACCOUNT, acme_wall_s(acme));
    call_wait_again(call, ACCOUNT_WANTED_AS_IT_IS); /* the CA is asked which key it has */
}

/* The doubt is settled. */
static void change_key_settled(struct acme_account_change *change)
{
    const struct account *account = &change->call.acme->account;
    if (key_same_public(account->key, change->new_key))
        call_end(&change->call);
    else
        call_fail(&change->call, &change->call.problem);
}

static void change_key_was_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                                  size_t num_records)
{
    struct acme *acme = account_of_store_call(call);
    struct acme_account_change *change = change_that_stored(acme);
    struct buf inner = {0};
    (void)records, (void)num_records;
    acme->account.key_doubtful = true; /* until the CA has answered, or been asked */
    if (!change)
        return; /* canceled: whoever needs the account next settles it */
    if (result != STORE_OK) {
        change_fail_store(change, "storing the new ACME account key, of which the CA has not been told", result);
        return;
    }
    struct err err = change_write_inner(acme, &inner);
    if (err_is(err))
        call_fail_with(&change->call, PROBLEM_LOCAL, err, err.what);
    else
        change_ask(change, acme->directory.key_change, buf_slice(&inner), change_key_answered);
    buf_cleanup(&inner);
}

static void change_key(struct acme_account_change *change)
{
    struct acme *acme = change->call.acme;
    struct account *account = &acme->account;
    if (account->key_given) {
        call_fail_with(&change->call, PROBLEM_LOCAL, err_make(ERR_STATE, 0, "account"),
                       "the account key is given by PORTICO_ACME_ACCOUNT_KEY and is not ours to exchange");
        return;
    }
    if (!acme->directory.key_change.ptr) {
        call_fail_with(&change->call, PROBLEM_PERMANENT, err_make(ERR_STATE, 0, "keyChange"),
                       "the CA's directory has no keyChange: this CA exchanges no account keys");
        return;
    }
    struct err err = key_generate(KEY_P256, &change->new_key); /* ACME-34 */
    if (err_is(err)) {
        call_fail_with(&change->call, PROBLEM_LOCAL, err, "no new account key could be made");
        return;
    }
    account->next_key = key_ref(change->new_key);
    change->storing = true;
    account_write(acme, STORE_ANY, change_key_was_stored);
}

/* ---- the end of the account (§7.3.6, ACME-37) ---- */

static void change_was_forgotten(struct store_call *call, enum store_result result, const struct store_record *records,
                                 size_t num_records)
{
    struct acme *acme = account_of_store_call(call);
    (void)records, (void)num_records;
    struct acme_account_change *change = change_that_stored(acme);
    bool gone = result == STORE_OK || result == STORE_NOT_FOUND;
    if (change && gone)
        call_end(&change->call);
    else if (change)
        change_fail_store(change,
                          "the account is deactivated, but its key could not be removed from the store; deactivate it "
                          "once more when the store can be written",
                          result);
    account_advance(acme);
}

static void change_forget_account(struct acme *acme)
{
    struct account *account = &acme->account;
    struct store_write write = {buf_slice(&account->record_key), SLICE_NONE, STORE_ANY, 0};
    LOG_WARN_EVENT(acme->world.log, "acme_account_deactivated", LOG_SLICE("account", buf_slice(&account->url)),
                   LOG_STR("msg", account->key_given ? "orders fail until PORTICO_ACME_ACCOUNT_KEY holds another key"
                                                     : "its key is thrown away; the next order makes a new account"));
    leftovers_cleanup(&acme->leftovers); /* with the key that they are signed with */
    leftovers_init(&acme->leftovers);
    account_forget(account);
    acme->change->storing = account->busy = true;
    account->store_call.done = change_was_forgotten;
    acme->world.store->ops->commit(acme->world.store, &write, 1, &account->store_call);
}

/* Says the CA that it was done before? A deactivated account may not even ask (RFC 8555 §7.3.6: 401 or unauthorized). */
static bool change_says_deactivated(const struct acme_reply *reply)
{
    struct arena arena = {0};
    struct problem problem = problem_of_reply(&arena, reply, PROBLEM_AT_ACCOUNT, 0);
    bool gone = problem_is(&problem, "unauthorized") || problem_is(&problem, "accountDoesNotExist");
    arena_cleanup(&arena);
    return gone;
}

static void change_end_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_call *call = container_of(request, struct acme_call, request);
    struct acme *acme = call->acme;
    acme->account.busy = false;
    if (!err_is(reply->err) && (reply->status == 200 || change_says_deactivated(reply))) {
        change_forget_account(acme);
        return;
    }
    call_fail_reply(call, reply, PROBLEM_AT_ACCOUNT);
    account_advance(acme);
}

/* ---- the call ---- */

static bool change_is_quiet(const struct acme *acme)
{
    LIST_EACH(&acme->calls, node)
    {
        const struct acme_call *call = container_of(node, const struct acme_call, node);
        if (call->request.busy && call->request.signer != REQUEST_PLAIN)
            return false;
    }
    return acme->num_running == 0;
}

static void change_ready(struct acme_call *call)
{
    struct acme_account_change *change = change_of_call(call);
    if (change->sent) {
        change_key_settled(change);
        return;
    }
    change->parked = change_is_exclusive(change) && !change_is_quiet(call->acme);
    if (change->parked)
        return;
    switch (change->kind) {
    case ACME_CHANGE_CONTACT: change_contact(change); return;
    case ACME_CHANGE_KEY: change_key(change); return;
    case ACME_CHANGE_DEACTIVATE:
        change_ask(change, buf_slice(&call->acme->account.url), SLICE_LIT("{\"status\":\"deactivated\"}"),
                   change_end_answered);
        return;
    }
}

bool account_change_holds_orders(const struct acme *acme)
{
    return acme->change && change_is_exclusive(acme->change);
}

void account_change_advance(struct acme *acme)
{
    struct acme_account_change *change = acme->change;
    if (!change || !change->parked || !change_is_quiet(acme))
        return;
    change->parked = false;
    call_wait_again(&change->call, ACCOUNT_WANTED_AS_IT_IS);
}

/* Canceled within a question: the CA may have done it. */
static void change_cleanup(struct acme_call *call)
{
    struct acme_account_change *change = change_of_call(call);
    struct acme *acme = change->acme;
    key_free(change->new_key);
    change->new_key = NULL;
    if (acme->change != change)
        return;
    acme->change = NULL;
    if (change->sent && !acme->account.store_call.done && !acme->account.request.busy)
        acme->account.busy = false;
    acme_need_wake(acme, acme_mono_ms(acme)); /* orders may run again */
}

static void change_tell(struct acme_call *call)
{
    struct acme_account_change *change = change_of_call(call);
    struct problem problem = call->problem;
    change->done(change, call->failed ? &problem : NULL);
}

void acme_account_change(struct acme *acme, struct acme_account_change *change, enum acme_account_change_kind kind,
                         void (*done)(struct acme_account_change *change, const struct problem *problem))
{
    *change =
        (struct acme_account_change){.call = {.ready = change_ready, .tell = change_tell, .cleanup = change_cleanup},
                                     .acme = acme,
                                     .kind = kind,
                                     .done = done};
    call_start(&change->call, acme, ACCOUNT_WANTED_AS_IT_IS);
    if (!acme->change) {
        acme->change = change;
        return;
    }
    account_stop_waiting(&change->call.waiter);
    call_fail_with(&change->call, PROBLEM_LOCAL, err_make(ERR_STATE, 0, "account"),
                   "another change of the ACME account is under way");
}

void acme_account_change_cancel(struct acme_account_change *change)
{
    call_cancel(&change->call);
}

/* ---- views ---- */

static const char *account_state_text(const struct account *account)
{
    switch (account->state) {
    case ACCOUNT_UNREAD: return account->key_given ? "not registered yet" : "not read yet";
    case ACCOUNT_EMPTY: return "none yet";
    case ACCOUNT_KEYED: return "not registered yet";
    case ACCOUNT_READY: return "registered";
    }
    return "not read yet";
}

struct acme_account_view acme_account_show(const struct acme *acme)
{
    const struct account *account = &acme->account;
    return (struct acme_account_view){.directory_url = acme->options.directory_url,
                                      .url = buf_slice(&account->url),
                                      .thumbprint = acme_thumbprint(acme),
                                      .contact = buf_slice(&account->contact),
                                      .key_type = account->key ? key_type_name(key_type_of(account->key)) : NULL,
                                      .key_given = account->key_given,
                                      .state = account_state_text(account)};
}
