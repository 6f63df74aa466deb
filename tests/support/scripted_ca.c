#include "scripted_ca.h"

#include "acme/jwk.h"
#include "base/b64url.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/url.h"
#include "scripted_issuer.h"

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char scripted_ca_directory_url[] = "https://ca.test/dir";
/* In all that it writes, until it is sent. */
static const struct slice ca_base = SLICE_LIT("https://ca.test/");

struct ca_reply {
    struct err err;
    int status;
    struct buf location, nonce, retry_after, body;
    const char *content_type;
    struct buf link;
};

struct ca_call {
    struct list node;
    struct transport_call *call;
    enum acme_method method;
    struct buf url, body, content_type;
    struct ca_reply reply;
    bool is_done;
};

/* A request, taken apart and verified. */
struct ca_question {
    struct arena arena;
    struct buf header_text, payload, csr;
    struct json *header, *json; /* json: of the payload; NULL for POST-as-GET */
    struct evp_pkey_st *key;    /* of `jwk`, or borrowed from the account */
    bool key_owned;
    int account; /* -1: by jwk */
};

__attribute__((format(printf, 2, 3))) static void ca_fault(struct scripted_ca *ca, const char *format, ...)
{
    va_list args;
    if (ca->fault[0])
        return;
    va_start(args, format);
    vsnprintf(ca->fault, sizeof ca->fault, format, args);
    va_end(args);
}

static uint64_t ca_random(struct scripted_ca *ca)
{
    ca->random = ca->random * 6364136223846793005u + 1442695040888963407u;
    return ca->random >> 33;
}

/* What follows its base; ptr NULL where the URL is not its own. */
static struct slice ca_path_of(const struct scripted_ca *ca, struct slice url)
{
    struct slice base = slice_str(ca->base);
    return slice_starts(url, base) ? slice_skip(url, base.len) : SLICE_NONE;
}

/* --- answers --- */

static void ca_give_nonce(struct scripted_ca *ca, struct ca_reply *reply)
{
    reply->nonce.len = 0;
    buf_printf(&reply->nonce, "nonce_%llu", (unsigned long long)++ca->next_nonce);
    map_put(&ca->nonces, buf_slice(&reply->nonce), ca);
}

static void ca_problem(struct ca_reply *reply, int status, const char *type, const char *detail)
{
    reply->status = status;
    reply->content_type = "application/problem+json";
    reply->body.len = 0;
    struct json_writer w = json_writer_on(&reply->body);
    json_object(&w);
    struct buf uri = {0};
    buf_printf(&uri, "urn:ietf:params:acme:error:%s", type);
    json_put_string(&w, "type", buf_slice(&uri));
    json_put_str(&w, "detail", detail ? detail : "as scripted");
    json_put_int(&w, "status", status);
    json_end_object(&w);
    buf_cleanup(&uri);
}

/* ORDER, or ORDER-PART, or ORDER-PART-CHALLENGE. */
struct ca_target {
    enum ca_place place;
    unsigned number, part, kind;
};

#include "scripted_ca_jws.c" // NOLINT(bugprone-suspicious-include): a part, see its header

#include "scripted_ca_ari.c" // NOLINT(bugprone-suspicious-include): a part, see its header

#include "scripted_ca_changes.c" // NOLINT(bugprone-suspicious-include): a part, see its header

#include "scripted_ca_orders.c" // NOLINT(bugprone-suspicious-include): a part, see its header

/* The last, which uses the others. */
#include "scripted_ca_issue.c" // NOLINT(bugprone-suspicious-include): a part, see its header

/* --- the desk --- */

static void ca_write_meta(const struct scripted_ca *ca, struct json_writer *w)
{
    json_key(w, "meta");
    json_object(w);
    if (ca->has_terms)
        json_put_str(w, "termsOfService", "https://ca.test/terms");
    json_put_bool(w, "externalAccountRequired", ca->needs_binding);
    if (ca->account_hash_prefix)
        json_put_str(w, "accountHashPrefix", ca->account_hash_prefix);
    if (ca->profiles[0]) {
        json_key(w, "profiles");
        json_object(w);
        for (size_t i = 0; i < CA_MAX_PROFILES && ca->profiles[i]; i++)
            json_put_str(w, ca->profiles[i], "https://ca.test/profiles");
        json_end_object(w);
    }
    json_end_object(w);
}

static void ca_write_directory(const struct scripted_ca *ca, struct ca_reply *reply)
{
    struct json_writer w = json_writer_on(&reply->body);
    reply->status = 200;
    json_object(&w);
    json_put_str(&w, "newNonce", "https://ca.test/nonce");
    json_put_str(&w, "newAccount", "https://ca.test/new-account");
    json_put_str(&w, "newOrder", "https://ca.test/new-order");
    if (ca->has_renewal_info)
        json_put_str(&w, "renewalInfo", "https://ca.test/renewal-info");
    if (!ca->has_no_changes) {
        json_put_str(&w, "keyChange", "https://ca.test/key-change");
        json_put_str(&w, "revokeCert", "https://ca.test/revoke");
    }
    json_key(&w, "newAuthz");
    json_raw(&w, SLICE_LIT("null"));
    ca_write_meta(ca, &w);
    json_end_object(&w);
}

static const char *const ca_paths[] = {
    [CA_DIRECTORY] = "dir",
    [CA_NEW_NONCE] = "nonce",
    [CA_NEW_ACCOUNT] = "new-account",
    [CA_NEW_ORDER] = "new-order",
    [CA_ORDER] = "order/",
    [CA_AUTHZ] = "authz/",
    [CA_CHALLENGE] = "challenge/",
    [CA_FINALIZE] = "finalize/",
    [CA_CERTIFICATE] = "certificate/",
    [CA_ACCOUNT] = "account/",
    [CA_ALTERNATE] = "alternate/",
    [CA_KEY_CHANGE] = "key-change",
    [CA_REVOKE] = "revoke",
    [CA_RENEWAL_INFO] = "renewal-info/",
};

static struct ca_target ca_target_of(const struct scripted_ca *ca, struct slice url)
{
    struct ca_target target = {.place = CA_NOWHERE};
    struct slice path = ca_path_of(ca, url);
    if (!path.ptr)
        return target;
    if (slice_eq(path, SLICE_LIT("directory"))) /* as the best-known CA has it */
        path = SLICE_LIT("dir");
    for (enum ca_place place = CA_DIRECTORY; place < CA_NOWHERE; place++) {
        struct slice want = slice_str(ca_paths[place]);
        if (place < CA_ORDER ? slice_eq(path, want) : slice_starts(path, want)) {
            struct slice rest = slice_skip(path, want.len);
            uint64_t number = 0, part = 0, kind = 0;
            slice_decimal(slice_split(&rest, '-'), CA_MAX_ORDERS, &number);
            slice_decimal(slice_split(&rest, '-'), CA_MAX_NAMES, &part);
            slice_decimal(rest, NUM_ACME_CHALLENGES - 1, &kind);
            return (struct ca_target){place, (unsigned)number, (unsigned)part, (unsigned)kind};
        }
    }
    return target;
}

static bool ca_owns(const struct scripted_ca *ca, const struct ca_question *question, const struct ca_target *target)
{
    unsigned number = target->number;
    if (number >= ca->num_orders || ca->orders[number].account != (unsigned)question->account)
        return false;
    return target->part < (target->place == CA_ALTERNATE ? ca->num_alternates + 1 : ca->orders[number].num_names);
}

static void ca_serve_resource(struct scripted_ca *ca, const struct ca_target *target, struct ca_question *question,
                              struct ca_reply *reply)
{
    enum ca_place place = target->place;
    bool deactivates = place == CA_AUTHZ && question->json;
    bool wants_payload = place == CA_CHALLENGE || place == CA_FINALIZE || deactivates;
    if (!ca_owns(ca, question, target)) {
        ca_problem(reply, 404, "malformed", "no such thing");
        return;
    }
    if (!question->json == wants_payload)
        ca_fault(ca, "payload where POST-as-GET belongs, or none (ACME-12)");
    if (place == CA_ORDER)
        ca_get_order(ca, target->number, reply);
    else if (deactivates)
        ca_deactivate_authz(ca, target, question, reply);
    else if (place == CA_AUTHZ)
        ca_get_authz(ca, target->number, target->part, reply);
    else if (place == CA_CHALLENGE)
        ca_post_challenge(ca, target, question, reply);
    else if (place == CA_FINALIZE)
        ca_finalize(ca, target->number, question, reply);
    else
        ca_get_chain(ca, target, reply);
}

static void ca_serve_post(struct scripted_ca *ca, struct ca_call *call, const struct ca_target *target)
{
    struct ca_question question = {0};
    ca_give_nonce(ca, &call->reply);
    if (call->method != ACME_POST)
        ca_fault(ca, "GET where a signed POST belongs (ACME-13)");
    else if (!ca_open_jws(ca, call, &question))
        ;
    else if (target->place == CA_NEW_ACCOUNT)
        ca_new_account(ca, &question, &call->reply);
    else if (target->place == CA_REVOKE)
        ca_revoke(ca, &question, &call->reply);
    else if (question.account < 0)
        ca_fault(ca, "jwk where kid belongs (ACME-9)");
    else if (target->place == CA_KEY_CHANGE)
        ca_change_key(ca, buf_slice(&call->url), &question, &call->reply);
    else if (target->place == CA_ACCOUNT &&
             slice_eq(json_get_string(question.json, "status"), SLICE_LIT("deactivated")))
        ca_deactivate_account(ca, (unsigned)question.account, &call->reply);
    else if (target->place == CA_ACCOUNT)
        ca_update_account(ca, target->number, &question, &call->reply);
    else if (target->place == CA_NEW_ORDER)
        ca_new_order(ca, &question, &call->reply);
    else
        ca_serve_resource(ca, target, &question, &call->reply);
    ca_question_cleanup(&question);
}

static void ca_serve(struct scripted_ca *ca, struct ca_call *call, const struct ca_target *target)
{
    if (target->place == CA_NOWHERE) {
        ca_fault(ca, "asked for %.*s", (int)call->url.len, call->url.ptr);
        call->reply.status = 404;
    } else if (target->place == CA_RENEWAL_INFO) {
        ca_serve_renewal_info(ca, call, slice_skip(ca_path_of(ca, buf_slice(&call->url)), strlen("renewal-info/")));
    } else if (target->place == CA_DIRECTORY) {
        ca_write_directory(ca, &call->reply);
    } else if (target->place == CA_NEW_NONCE) {
        call->reply.status = call->method == ACME_HEAD ? 200 : 204;
        ca_give_nonce(ca, &call->reply);
    } else {
        ca_serve_post(ca, call, target);
    }
}

static struct ca_script *ca_find_script(struct scripted_ca *ca, enum ca_place place)
{
    for (size_t i = 0; i < ca->num_scripts; i++) {
        struct ca_script *script = &ca->scripts[i];
        if (script->place != place)
            continue;
        if (script->skip > 0) {
            script->skip--;
            continue;
        }
        if (script->times == 1)
            script->place = CA_NOWHERE; /* used up after this */
        else if (script->times > 1)
            script->times--;
        return script;
    }
    return NULL;
}

static void ca_play(struct scripted_ca *ca, const struct ca_script *script, struct ca_call *call)
{
    struct ca_reply *reply = &call->reply;
    ca_give_nonce(ca, reply);
    if (script->lose_request) {
        reply->err = err_make(ERR_TIMEOUT, 0, "request");
    } else if (script->type) {
        ca_problem(reply, script->status, script->type, script->body);
    } else {
        reply->status = script->status;
        buf_append_str(&reply->body, script->body ? script->body : "");
    }
    if (script->retry_after)
        buf_append_str(&reply->retry_after, script->retry_after);
    if (script->location)
        buf_append_str(&reply->location, script->location);
}

static void ca_process(struct scripted_ca *ca, struct ca_call *call)
{
    struct ca_target target = ca_target_of(ca, buf_slice(&call->url));
    ca->num_requests++;
    ca->num_at[target.place]++;
    call->is_done = true;
    if (ca->away && ca->away(ca->away_ctx)) {
        call->reply.err = err_make(ERR_TIMEOUT, 0, "request");
        return;
    }
    const struct ca_script *script = ca_find_script(ca, target.place);
    if (!script || script->lose_reply)
        ca_serve(ca, call, &target);
    else
        ca_play(ca, script, call);
    if (script && script->lose_reply)
        call->reply.err = err_make(ERR_TIMEOUT, 0, "reply");
}

static void ca_call_free(struct ca_call *call)
{
    list_remove(&call->node);
    buf_cleanup(&call->url);
    buf_cleanup(&call->body);
    buf_cleanup(&call->content_type);
    buf_cleanup(&call->reply.location);
    buf_cleanup(&call->reply.nonce);
    buf_cleanup(&call->reply.retry_after);
    buf_cleanup(&call->reply.body);
    buf_cleanup(&call->reply.link);
    mem_free(call);
}

static void ca_send(struct transport *transport, const struct acme_request *request, struct transport_call *call)
{
    struct scripted_ca *ca = container_of(transport, struct scripted_ca, transport);
    struct ca_call *pending = MEM_NEW(struct ca_call);
    unsigned num = 0;
    pending->call = call;
    pending->method = request->method;
    buf_append_slice(&pending->url, request->url);
    buf_append_slice(&pending->body, request->body);
    buf_append_slice(&pending->content_type, request->content_type);
    call->pending = pending;
    list_append(&ca->pending, &pending->node);
    LIST_EACH(&ca->pending, node)
    num++;
    if (num > ca->max_pending)
        ca->max_pending = num;
    if (ca->eager)
        ca_process(ca, pending);
}

static void ca_cancel(struct transport *transport, struct transport_call *call)
{
    (void)transport;
    ca_call_free(call->pending);
}

/* From the base of the texts to its own. */
static void ca_move(const struct scripted_ca *ca, struct buf *text)
{
    struct buf moved = {0};
    struct slice rest = buf_slice(text);
    if (slice_eq(slice_str(ca->base), ca_base))
        return;
    while (rest.len) {
        const char *at = memmem(rest.ptr, rest.len, ca_base.ptr, ca_base.len);
        size_t len = at ? (size_t)(at - rest.ptr) : rest.len;
        buf_append_slice(&moved, slice_first(rest, len));
        rest = slice_skip(rest, len + (at ? ca_base.len : 0));
        if (at)
            buf_append_str(&moved, ca->base);
    }
    buf_cleanup(text);
    *text = moved;
}

static struct slice ca_field(const struct buf *value)
{
    return value->len ? buf_slice(value) : SLICE_NONE;
}

bool scripted_ca_answer(struct scripted_ca *ca)
{
    struct list *node = list_first(&ca->pending);
    if (!node)
        return false;
    struct ca_call *pending = container_of(node, struct ca_call, node);
    if (!pending->is_done)
        ca_process(ca, pending);
    ca_move(ca, &pending->reply.location);
    ca_move(ca, &pending->reply.body);
    ca_move(ca, &pending->reply.link);
    struct acme_reply reply = {.err = pending->reply.err};
    if (!err_is(reply.err)) {
        reply.status = pending->reply.status;
        reply.location = ca_field(&pending->reply.location);
        reply.replay_nonce = ca_field(&pending->reply.nonce);
        reply.retry_after = ca_field(&pending->reply.retry_after);
        reply.content_type = slice_str(pending->reply.content_type);
        reply.body = buf_slice(&pending->reply.body);
        reply.date = slice_str(ca->date);
        reply.links[0] = ca_field(&pending->reply.link);
        reply.num_links = reply.links[0].ptr != NULL;
    }
    struct transport_call *call = pending->call;
    list_remove(&pending->node);
    call->done(call, &reply);
    ca_call_free(pending);
    return true;
}

struct ca_script *scripted_ca_script(struct scripted_ca *ca, enum ca_place place)
{
    struct ca_script *script = &ca->scripts[ca->num_scripts++];
    *script = (struct ca_script){.place = place};
    return script;
}

static const struct transport_ops ca_ops = {ca_send, ca_cancel};

void scripted_ca_init(struct scripted_ca *ca, const struct clock *clock)
{
    int64_t now_s = clock->wall_ms(clock) / 1000;
    *ca = (struct scripted_ca){.transport = {&ca_ops}, .clock = clock, .base = ca_base.ptr, .random = 42};
    ca->lifetime_s = 90 * 86400;
    ca->backdate_s = 3600;
    ca->has_terms = true;
    ca->offers = 1u << ACME_HTTP_01;
    ca->issuer_names = "[\"ca.test\",\"other-ca.test\"]";
    ca->orders = mem_calloc(CA_MAX_ORDERS, sizeof *ca->orders);
    list_init(&ca->pending);
    if (err_is(key_generate(KEY_P256, &ca->root_key)) || err_is(key_generate(KEY_P256, &ca->issuer_key)) ||
        err_is(key_generate(KEY_P256, &ca->other_key)))
        abort(); /* out of memory */
    struct issue root = {.subject = "Scripted Root",
                         .key = ca->root_key,
                         .not_before_s = now_s - 86400,
                         .not_after_s = now_s + 3650 * 86400LL,
                         .serial = 1,
                         .is_ca = true};
    ca->root = issue_certificate(&root);
    struct issue issuer = {.subject = "Scripted CA",
                           .key = ca->issuer_key,
                           .issuer = ca->root,
                           .issuer_key = ca->root_key,
                           .not_before_s = now_s - 86400,
                           .not_after_s = now_s + 3650 * 86400LL,
                           .serial = 2,
                           .is_ca = true};
    ca->issuer = issue_certificate(&issuer);
}

void scripted_ca_cleanup(struct scripted_ca *ca)
{
    while (!list_empty(&ca->pending))
        ca_call_free(container_of(list_first(&ca->pending), struct ca_call, node));
    for (unsigned i = 0; i < ca->num_accounts; i++)
        EVP_PKEY_free(ca->account_keys[i]);
    for (unsigned i = 0; i < ca->num_orders; i++) {
        for (size_t at = 0; at < ca->orders[i].num_names; at++)
            mem_free(ca->orders[i].names[at]);
        mem_free(ca->orders[i].leaf);
        mem_free(ca->orders[i].profile);
        mem_free(ca->orders[i].replaces);
    }
    mem_free(ca->orders);
    mem_free(ca->issued);
    map_cleanup(&ca->nonces);
    buf_cleanup(&ca->last_new_account);
    X509_free(ca->root);
    X509_free(ca->issuer);
    EVP_PKEY_free(ca->root_key);
    EVP_PKEY_free(ca->issuer_key);
    EVP_PKEY_free(ca->other_key);
}
