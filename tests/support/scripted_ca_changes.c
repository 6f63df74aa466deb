/* Part of scripted_ca.c: another account key, the end of an account, revocation (RFC 8555 §7.3.5, §7.3.6, §7.6). */

/* The inner JWS: no nonce, the same url, signed by its own jwk (ACME-36). NULL: something of that is wrong. */
static struct evp_pkey_st *ca_open_inner(struct scripted_ca *ca, struct ca_question *question, struct slice url,
                                         struct json **out_payload)
{
    struct buf header_text = {0}, payload = {0};
    struct json *header = NULL;
    const struct json *jws = question->json;
    bool ok = jws && jws->num == 3 && b64url_decode(&header_text, json_get_string(jws, "protected")) &&
              !err_is(json_parse(&question->arena, buf_slice(&header_text), 65536, &header)) && header->num == 3 &&
              slice_eq(json_get_string(header, "url"), url) &&
              b64url_decode(&payload, json_get_string(jws, "payload")) &&
              !err_is(json_parse(&question->arena, buf_slice(&payload), 65536, out_payload));
    struct evp_pkey_st *key = ok && json_get(header, "jwk") ? ca_key_of_jwk(json_get(header, "jwk")) : NULL;
    if (!key || !ca_signature_holds(key, jws)) {
        ca_fault(ca, "the inner JWS of keyChange is not as RFC 8555 §7.3.5 wants it (ACME-36)");
        EVP_PKEY_free(key);
        key = NULL;
    }
    buf_cleanup(&header_text);
    buf_cleanup(&payload);
    return key;
}

static bool ca_knows_key(const struct scripted_ca *ca, const struct evp_pkey_st *key)
{
    for (unsigned i = 0; i < ca->num_accounts; i++)
        if (key_same_public(ca->account_keys[i], key))
            return true;
    return false;
}

static void ca_change_key(struct scripted_ca *ca, struct slice url, struct ca_question *question,
                          struct ca_reply *reply)
{
    struct json *payload = NULL;
    struct evp_pkey_st *key = ca_open_inner(ca, question, url, &payload);
    struct evp_pkey_st *old = key && json_get(payload, "oldKey") ? ca_key_of_jwk(json_get(payload, "oldKey")) : NULL;
    if (!old || !key_same_public(old, ca->account_keys[question->account]) ||
        !slice_eq(json_get_string(payload, "account"), json_get_string(question->header, "kid"))) {
        ca_fault(ca, "keyChange for another account or another old key (ACME-36)");
        ca_problem(reply, 400, "malformed", NULL);
    } else if (ca_knows_key(ca, key)) {
        ca_problem(reply, 409, "malformed", "the key is in use");
    } else {
        EVP_PKEY_free(ca->account_keys[question->account]);
        ca->account_keys[question->account] = key_ref(key);
        reply->status = 200;
        buf_append_str(&reply->body, "{\"status\":\"valid\"}");
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(old);
}

static void ca_deactivate_account(struct scripted_ca *ca, unsigned number, struct ca_reply *reply)
{
    ca->account_deactivated[number] = true;
    reply->status = 200;
    buf_append_str(&reply->body, "{\"status\":\"deactivated\"}");
}

static X509 *ca_read_certificate(const struct ca_question *question)
{
    struct buf der = {0};
    bool ok = b64url_decode(&der, json_get_string(question->json, "certificate"));
    const uint8_t *at = (const uint8_t *)der.ptr;
    X509 *certificate = ok ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    buf_cleanup(&der);
    return certificate;
}

static void ca_revoke(struct scripted_ca *ca, struct ca_question *question, struct ca_reply *reply)
{
    X509 *certificate = ca_read_certificate(question);
    uint64_t serial = 0;
    int64_t reason = -1;
    struct ca_issued *issued = NULL;
    if (certificate && ASN1_INTEGER_get_uint64(&serial, X509_get0_serialNumber(certificate)))
        issued = ca_find_issued(ca, serial);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    bool by_certificate = question->account < 0;
    if (!json_get_int(question->json, "reason", 0, 10, &reason) ||
        (reason != 0 && reason != 1 && reason != 4 && reason != 5))
        ca_fault(ca, "a reason that public CAs refuse (ACME-120)");
    if (!issued)
        ca_problem(reply, 404, "malformed", "no such certificate");
    else if (by_certificate && !key_same_public(key, question->key))
        ca_problem(reply, 403, "unauthorized", "not the certificate's key");
    else if (issued->reason >= 0)
        ca_problem(reply, 400, "alreadyRevoked", NULL);
    else
        reply->status = 200;
    if (reply->status == 200) {
        issued->reason = (int)reason;
        issued->revoked_by_key = by_certificate;
    }
    EVP_PKEY_free(key);
    X509_free(certificate);
}
