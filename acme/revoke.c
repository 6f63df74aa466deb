#include "acme/revoke.h"

#include "acme/engine.h"
#include "acme/key.h"
#include "base/b64url.h"
#include "base/json_write.h"

static const struct {
    enum acme_revocation_reason reason;
    const char *text, *number;
} revocation_reasons[] = {
    {ACME_REVOKE_UNSPECIFIED, "unspecified", "0"},
    {ACME_REVOKE_KEY_COMPROMISE, "keyCompromise", "1"},
    {ACME_REVOKE_SUPERSEDED, "superseded", "4"},
    {ACME_REVOKE_CESSATION, "cessationOfOperation", "5"},
};

enum { NUM_REASONS = sizeof revocation_reasons / sizeof *revocation_reasons };

bool acme_revocation_reason_from_text(struct slice text, enum acme_revocation_reason *out_reason)
{
    for (size_t i = 0; i < NUM_REASONS; i++)
        if (slice_ieq(text, slice_str(revocation_reasons[i].text)) ||
            slice_eq(text, slice_str(revocation_reasons[i].number))) {
            *out_reason = revocation_reasons[i].reason;
            return true;
        }
    return false;
}

const char *acme_revocation_reason_text(enum acme_revocation_reason reason)
{
    for (size_t i = 0; i < NUM_REASONS; i++)
        if (revocation_reasons[i].reason == reason)
            return revocation_reasons[i].text;
    return "unspecified";
}

static struct acme_revocation *revocation_of_call(struct acme_call *call)
{
    return container_of(call, struct acme_revocation, call);
}

static bool revocation_was_before(const struct acme_reply *reply)
{
    struct arena arena = {0};
    struct problem problem = problem_of_reply(&arena, reply, PROBLEM_AT_ORDER, 0);
    bool before = problem_is(&problem, "alreadyRevoked");
    arena_cleanup(&arena);
    return before;
}

static void revocation_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_call *call = container_of(request, struct acme_call, request);
    bool revoked = !err_is(reply->err) && (reply->status == 200 || revocation_was_before(reply));
    if (revoked)
        call_end(call);
    else
        call_fail_reply(call, reply, PROBLEM_AT_ORDER);
}

static void revocation_write(const struct acme_revocation *revocation, struct buf *out)
{
    struct buf certificate = {0};
    struct json_writer w = json_writer_on(out);
    b64url_encode(&certificate, buf_slice(&revocation->leaf_der));
    json_object(&w);
    json_put_string(&w, "certificate", buf_slice(&certificate));
    json_put_int(&w, "reason", revocation->reason);
    json_end_object(&w);
    buf_cleanup(&certificate);
}

static void revocation_ready(struct acme_call *call)
{
    struct acme_revocation *revocation = revocation_of_call(call);
    struct slice url = call->acme->directory.revoke_cert;
    struct buf payload = {0};
    if (!url.ptr) {
        call_fail_with(call, PROBLEM_PERMANENT, err_make(ERR_STATE, 0, "revokeCert"),
                       "the CA's directory has no revokeCert: this CA revokes no certificates by ACME");
        return;
    }
    revocation_write(revocation, &payload);
    if (revocation->key) /* ACME-9 */
        request_send_by_key(&call->request, call->acme, revocation->key, url, buf_slice(&payload), revocation_answered);
    else
        request_send(&call->request, call->acme, REQUEST_BY_ACCOUNT, url, buf_slice(&payload), false,
                     revocation_answered);
    buf_cleanup(&payload);
}

static void revocation_cleanup(struct acme_call *call)
{
    struct acme_revocation *revocation = revocation_of_call(call);
    buf_cleanup(&revocation->leaf_der);
    key_free(revocation->key);
    revocation->key = NULL;
}

static void revocation_tell(struct acme_call *call)
{
    struct acme_revocation *revocation = revocation_of_call(call);
    struct problem problem = call->problem;
    revocation->done(revocation, call->failed ? &problem : NULL);
}

void acme_revoke(struct acme *acme, struct acme_revocation *revocation, struct slice leaf_der,
                 enum acme_revocation_reason reason, struct evp_pkey_st *key,
                 void (*done)(struct acme_revocation *revocation, const struct problem *problem))
{
    *revocation = (struct acme_revocation){
        .call = {.ready = revocation_ready, .tell = revocation_tell, .cleanup = revocation_cleanup},
        .reason = reason,
        .key = key ? key_ref(key) : NULL,
        .done = done};
    buf_append_slice(&revocation->leaf_der, leaf_der);
    call_start(&revocation->call, acme, key ? DIRECTORY_WANTED : ACCOUNT_WANTED_AS_IT_IS);
}

void acme_revoke_cancel(struct acme_revocation *revocation)
{
    call_cancel(&revocation->call);
}
