#include "acme/request.h"

#include "acme/engine.h"
#include "acme/jws.h"
#include "acme/problem.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"

static void request_start(struct request *request);

bool request_url_is_valid(struct slice url)
{
    struct url parsed;
    return url.len > 0 && url.len <= REQUEST_MAX_URL_BYTES && !err_is(url_parse(url, &parsed)) && parsed.https;
}

static void request_cleanup(struct request *request)
{
    request->busy = false;
    buf_cleanup_secret(&request->payload);
    buf_cleanup(&request->url);
    buf_cleanup(&request->kid);
    key_free(request->key);
    request->key = NULL;
}

static void request_finish(struct request *request, const struct acme_reply *reply)
{
    request_cleanup(request);
    request->done(request, reply);
}

static void request_fail(struct request *request, struct err err)
{
    request_finish(request, &(struct acme_reply){.err = err});
}

static void request_submit(struct request *request, enum acme_method method, struct slice url, struct slice body,
                           void (*done)(struct transport_call *call, const struct acme_reply *reply))
{
    struct acme_request message = {
        .method = method,
        .url = url,
        .content_type = method == ACME_POST ? SLICE_LIT("application/jose+json") : SLICE_LIT(""), /* ACME-11 */
        .accept = request->wants_chain ? SLICE_LIT("application/pem-certificate-chain") : SLICE_LIT(""),
        .body = body,
    };
    struct transport *transport = request->acme->world.transport;
    request->call.done = done;
    transport->ops->send(transport, &message, &request->call);
}

static bool request_is_bad_nonce(const struct acme_reply *reply)
{
    struct arena arena = {0};
    if (err_is(reply->err) || reply->status != 400)
        return false;
    struct problem problem = problem_of_reply(&arena, reply, PROBLEM_AT_ORDER, 0);
    bool bad = problem_is(&problem, "badNonce");
    arena_cleanup(&arena);
    return bad;
}

/* The Date of an answer that no cache can have kept: one with a nonce. */
static void request_look_at_date(struct acme *acme, const struct acme_reply *reply)
{
    const struct clock_guard *guard = &acme->clock_guard;
    if (!reply->replay_nonce.ptr ||
        !clock_guard_take(&acme->clock_guard, reply->date, acme->world.clock->wall_ms(acme->world.clock)))
        return;
    if (guard->off)
        LOG_WARN_EVENT(acme->world.log, "clock_skewed", LOG_INT("ahead_s", guard->skew_ms / 1000),
                       LOG_SLICE("directory", acme->options.directory_url),
                       LOG_STR("msg", "this machine's clock is more than five minutes from the CA's: set it, or new "
                                      "certificates look invalid here and renewals come at the wrong time"));
    else
        LOG_INFO_EVENT(acme->world.log, "clock_fits", LOG_SLICE("directory", acme->options.directory_url));
}

static void request_keep_nonce(struct request *request, const struct acme_reply *reply)
{
    if (err_is(reply->err))
        return;
    request_look_at_date(request->acme, reply);
    nonce_put(&request->acme->nonces, reply->replay_nonce, acme_mono_ms(request->acme));
}

static void request_answered(struct transport_call *call, const struct acme_reply *reply)
{
    struct request *request = container_of(call, struct request, call);
    request_keep_nonce(request, reply);
    if (request->signer != REQUEST_PLAIN && request_is_bad_nonce(reply) &&
        request->num_bad_nonces < REQUEST_MAX_BAD_NONCES) {
        request->num_bad_nonces++;
        LOG_DEBUG_EVENT(request->acme->world.log, "acme_bad_nonce", LOG_SLICE("url", buf_slice(&request->url)),
                        LOG_INT("times", request->num_bad_nonces));
        /* The pool gives the freshest, which is the one that this answer brought (ACME-17). */
        request_start(request);
        return;
    }
    request_finish(request, reply);
}

static void request_sign(struct request *request, struct slice nonce)
{
    struct acme *acme = request->acme;
    struct buf body = {0};
    struct jws_request jws = {
        .key = request->key ? request->key : acme->account.key,
        .nonce = nonce,
        .url = buf_slice(&request->url),
        .kid = request->signer == REQUEST_BY_ACCOUNT ? buf_slice(&request->kid) : SLICE_NONE,
        .payload = buf_slice(&request->payload),
    };
    struct err err = jws_sign(&jws, &body);
    if (err_is(
            err)) /* a request that cannot be signed is refused by the CA in clear words; never the case in practice */
        buf_append_str(&body, "{}");
    request_submit(request, ACME_POST, buf_slice(&request->url), buf_slice(&body), request_answered);
    buf_cleanup(&body);
}

static void request_nonce_came(struct transport_call *call, const struct acme_reply *reply);

static void request_ask_nonce(struct request *request, enum acme_method method)
{
    request_submit(request, method, request->acme->directory.new_nonce, SLICE_LIT(""), request_nonce_came);
}

/* HEAD brings it with 200, GET with 204 (ACME-19); an error that brings one is good enough. */
static void request_nonce_came(struct transport_call *call, const struct acme_reply *reply)
{
    struct request *request = container_of(call, struct request, call);
    request_keep_nonce(request, reply);
    char *nonce = nonce_take(&request->acme->nonces, acme_mono_ms(request->acme));
    if (nonce) {
        request_sign(request, slice_str(nonce));
        mem_free(nonce);
    } else if (err_is(reply->err) || reply->status == 429 || reply->status >= 500) {
        request_finish(request, reply);
    } else if (!request->asked_by_get) {
        request->asked_by_get = true;
        request_ask_nonce(request, ACME_GET);
    } else {
        request_fail(request, err_make(ERR_INPUT, reply->status, "the CA gave no usable nonce"));
    }
}

static void request_start(struct request *request)
{
    if (request->signer == REQUEST_PLAIN) {
        request_submit(request, ACME_GET, buf_slice(&request->url), SLICE_LIT(""), request_answered);
        return;
    }
    char *nonce = nonce_take(&request->acme->nonces, acme_mono_ms(request->acme));
    if (nonce)
        request_sign(request, slice_str(nonce));
    else
        request_ask_nonce(request, ACME_HEAD);
    mem_free(nonce);
}

void request_send(struct request *request, struct acme *acme, enum request_signer signer, struct slice url,
                  struct slice payload, bool wants_chain,
                  void (*done)(struct request *request, const struct acme_reply *reply))
{
    *request = (struct request){.acme = acme, .done = done, .signer = signer, .wants_chain = wants_chain, .busy = true};
    buf_append_slice(&request->url, url);
    buf_append_slice(&request->payload, payload);
    if (signer == REQUEST_BY_ACCOUNT)
        buf_append_slice(&request->kid, buf_slice(&acme->account.url));
    request_start(request);
}

void request_send_by_key(struct request *request, struct acme *acme, struct evp_pkey_st *key, struct slice url,
                         struct slice payload, void (*done)(struct request *request, const struct acme_reply *reply))
{
    *request =
        (struct request){.acme = acme, .done = done, .signer = REQUEST_BY_KEY, .key = key_ref(key), .busy = true};
    buf_append_slice(&request->url, url);
    buf_append_slice(&request->payload, payload);
    request_start(request);
}

void request_cancel(struct request *request)
{
    if (!request->busy)
        return;
    struct transport *transport = request->acme->world.transport;
    transport->ops->cancel(transport, &request->call);
    request_cleanup(request);
}
