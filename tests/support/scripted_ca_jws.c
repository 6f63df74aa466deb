/* Part of scripted_ca.c: what every signed request must be (RFC 8555 §6.2). */
static BIGNUM *ca_number(const struct json *jwk, const char *member)
{
    struct buf octets = {0};
    BIGNUM *number = NULL;
    if (b64url_decode(&octets, json_get_string(jwk, member)))
        number = BN_bin2bn((const uint8_t *)octets.ptr, octets.len, NULL);
    buf_cleanup(&octets);
    return number;
}

static struct evp_pkey_st *ca_key_of_jwk(const struct json *jwk)
{
    BIGNUM *x = ca_number(jwk, "x"), *y = ca_number(jwk, "y");
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    bool ok = x && y && EC_KEY_set_public_key_affine_coordinates(ec, x, y) && EVP_PKEY_set1_EC_KEY(key, ec);
    BN_free(x);
    BN_free(y);
    EC_KEY_free(ec);
    if (ok)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static bool ca_signature_holds(struct evp_pkey_st *key, const struct json *jws)
{
    struct buf flat = {0}, input = {0};
    uint8_t digest[KEY_SHA256_BYTES];
    buf_append_slice(&input, json_get_string(jws, "protected"));
    buf_append_char(&input, '.');
    buf_append_slice(&input, json_get_string(jws, "payload"));
    key_sha256(buf_slice(&input), digest);
    bool ok = b64url_decode(&flat, json_get_string(jws, "signature")) && flat.len == 64;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    if (ok)
        ok = ECDSA_SIG_set0(signature, BN_bin2bn((uint8_t *)flat.ptr, 32, NULL),
                            BN_bin2bn((uint8_t *)flat.ptr + 32, 32, NULL)) &&
             ECDSA_do_verify(digest, sizeof digest, signature, EVP_PKEY_get0_EC_KEY(key)) == 1;
    ECDSA_SIG_free(signature);
    buf_cleanup(&flat);
    buf_cleanup(&input);
    return ok;
}

static int ca_account_of_kid(const struct scripted_ca *ca, struct slice kid)
{
    static const struct slice accounts = SLICE_LIT("account/");
    struct slice path = ca_path_of(ca, kid);
    uint64_t number = 0;
    if (!slice_starts(path, accounts) || !slice_decimal(slice_skip(path, accounts.len), CA_MAX_ACCOUNTS - 1, &number))
        return -1;
    return number < ca->num_accounts && !ca->account_gone[number] ? (int)number : -1;
}

/* false: the answer is in reply. */
static bool ca_open_jws(struct scripted_ca *ca, struct ca_call *call, struct ca_question *question)
{
    struct json *jws = NULL;
    if (!slice_eq(buf_slice(&call->content_type), SLICE_LIT("application/jose+json")))
        ca_fault(ca, "content type is not jose+json (ACME-11)");
    if (err_is(json_parse(&question->arena, buf_slice(&call->body), 1 << 20, &jws)) || jws->num != 3 ||
        !b64url_decode(&question->header_text, json_get_string(jws, "protected")) ||
        err_is(json_parse(&question->arena, buf_slice(&question->header_text), 65536, &question->header))) {
        ca_fault(ca, "body is not a flattened JWS (ACME-5)");
        ca_problem(&call->reply, 400, "malformed", NULL);
        return false;
    }
    const struct json *jwk = json_get(question->header, "jwk");
    struct slice kid = json_get_string(question->header, "kid");
    if (!jwk == !kid.ptr || question->header->num != 4)
        ca_fault(ca, "not exactly one of jwk and kid, or other members (ACME-7)");
    if (!slice_eq(json_get_string(question->header, "url"), buf_slice(&call->url)))
        ca_fault(ca, "url of the header is not the url asked (ACME-14)");
    if (!slice_eq(json_get_string(question->header, "alg"), SLICE_LIT("ES256")))
        ca_fault(ca, "alg is not ES256");
    struct slice payload = json_get_string(jws, "payload");
    if (payload.len) {
        b64url_decode(&question->payload, payload);
        if (err_is(json_parse(&question->arena, buf_slice(&question->payload), 65536, &question->json)))
            ca_fault(ca, "payload is not JSON");
    }
    if (!map_remove(&ca->nonces, json_get_string(question->header, "nonce")) ||
        ca_random(ca) % 100 < ca->bad_nonce_percent) {
        ca->num_bad_nonces++;
        ca_problem(&call->reply, 400, "badNonce", NULL);
        return false;
    }
    question->account = jwk ? -1 : ca_account_of_kid(ca, kid);
    if (!jwk && ca->forgets_accounts) {
        ca->account_gone[question->account < 0 ? 0 : question->account] = true;
        ca->forgets_accounts = false;
        question->account = -1;
    }
    if (!jwk && question->account < 0) {
        ca_problem(&call->reply, 400, "accountDoesNotExist", NULL);
        return false;
    }
    if (!jwk && ca->account_deactivated[question->account]) {
        ca_problem(&call->reply, 403, "unauthorized", "the account has been deactivated");
        return false;
    }
    question->key = jwk ? ca_key_of_jwk(jwk) : ca->account_keys[question->account];
    question->key_owned = jwk != NULL;
    if (!question->key || !ca_signature_holds(question->key, jws)) {
        ca_fault(ca, "bad signature");
        ca_problem(&call->reply, 400, "malformed", NULL);
        return false;
    }
    return true;
}

static void ca_question_cleanup(struct ca_question *question)
{
    if (question->key_owned)
        EVP_PKEY_free(question->key);
    arena_cleanup(&question->arena);
    buf_cleanup(&question->header_text);
    buf_cleanup(&question->payload);
    buf_cleanup(&question->csr);
}
