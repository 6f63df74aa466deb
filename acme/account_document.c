#include "acme/account_document.h"

#include "acme/jwk.h"
#include "acme/jws.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"

/* ---- what is said ---- */

/* Empty: none. */
static void account_write_contact(struct json_writer *w, struct slice email)
{
    struct buf contact = {0};
    buf_append_str(&contact, "mailto:");
    buf_append_slice(&contact, email);
    json_key(w, "contact");
    json_array(w);
    if (email.len)
        json_string(w, buf_slice(&contact));
    json_end_array(w);
    buf_cleanup(&contact);
}

struct err account_document_registration(const struct acme_options *options, bool with_contact, struct evp_pkey_st *key,
                                         struct slice new_account, struct buf *out)
{
    struct err err = ERR_OK;
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    if (options->accept_terms)
        json_put_bool(&w, "termsOfServiceAgreed", true);
    if (options->email.len && with_contact)
        account_write_contact(&w, options->email);
    if (options->eab_kid.len) {
        struct buf binding = {0};
        err = jws_bind_account(key, options->eab_kid, options->eab_mac, options->eab_hmac_key, new_account,
                               &binding); /* ACME-32 */
        json_key(&w, "externalAccountBinding");
        json_raw(&w, binding.len ? buf_slice(&binding) : SLICE_LIT("null"));
        buf_cleanup(&binding);
    }
    json_end_object(&w);
    return err;
}

void account_document_contact(struct slice email, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    account_write_contact(&w, email);
    json_end_object(&w);
}

void account_document_exchange(struct slice account_url, const struct evp_pkey_st *old_key, struct buf *out)
{
    struct buf jwk = {0};
    struct json_writer w = json_writer_on(out);
    jwk_write(old_key, &jwk);
    json_object(&w);
    json_put_string(&w, "account", account_url);
    json_key(&w, "oldKey");
    json_raw(&w, buf_slice(&jwk));
    json_end_object(&w);
    buf_cleanup(&jwk);
}

/* ---- what is answered ---- */

bool account_document_is_usable(struct slice body)
{
    struct arena arena = {0};
    struct json *json = NULL;
    bool usable = true;
    if (!err_is(json_parse(&arena, body, LIMIT_JSON_BYTES, &json))) {
        struct slice status = json_get_string(json, "status");
        usable = status.len == 0 || slice_eq(status, SLICE_LIT("valid"));
    }
    arena_cleanup(&arena);
    return usable;
}

bool account_reply_refuses_contact(const struct acme_reply *reply)
{
    struct arena arena = {0};
    struct problem problem = problem_of_reply(&arena, reply, PROBLEM_AT_ACCOUNT, 0);
    bool contact = problem_is(&problem, "invalidContact") || problem_is(&problem, "unsupportedContact");
    arena_cleanup(&arena);
    return contact;
}

bool account_reply_says_unknown(const struct acme_reply *reply)
{
    struct arena arena = {0};
    struct problem problem = problem_of_reply(&arena, reply, PROBLEM_AT_ACCOUNT, 0);
    bool unknown = problem_is(&problem, "accountDoesNotExist") || problem_is(&problem, "externalAccountRequired") ||
                   problem_is(&problem, "malformed");
    arena_cleanup(&arena);
    return unknown;
}
