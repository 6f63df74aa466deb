/* Part of scripted_ca.c: accounts, orders, authorizations, certificates. */
static void ca_found_account(struct ca_reply *reply, int status, unsigned account)
{
    reply->status = status;
    buf_printf(&reply->location, "https://ca.test/account/%u", account);
    buf_append_str(&reply->body, "{\"status\":\"valid\",\"contact\":null}");
}

static void ca_new_account(struct scripted_ca *ca, struct ca_question *question, struct ca_reply *reply)
{
    ca->last_new_account.len = 0;
    buf_append_slice(&ca->last_new_account, buf_slice(&question->payload));
    if (question->account >= 0)
        ca_fault(ca, "newAccount signed with kid (ACME-9)");
    for (unsigned i = 0; i < ca->num_accounts; i++)
        if (!ca->account_gone[i] && key_same_public(ca->account_keys[i], question->key)) {
            if (ca->account_deactivated[i])
                ca_problem(reply, 403, "unauthorized", "the account has been deactivated");
            else
                ca_found_account(reply, 200, i);
            return;
        }
    if (json_get_bool(question->json, "onlyReturnExisting")) {
        ca_problem(reply, 400, "accountDoesNotExist", NULL);
    } else if (ca->has_terms && !json_get_bool(question->json, "termsOfServiceAgreed")) {
        ca_problem(reply, 403, "userActionRequired", "agree first");
    } else if (ca->needs_binding && !json_get(question->json, "externalAccountBinding")) {
        ca_problem(reply, 400, "externalAccountRequired", NULL);
    } else if (ca->refuses_contact && json_get(question->json, "contact")) {
        ca_problem(reply, 400, "invalidContact", NULL);
    } else if (ca->num_accounts == CA_MAX_ACCOUNTS) {
        ca_problem(reply, 500, "serverInternal", NULL);
    } else {
        ca->account_keys[ca->num_accounts] = key_ref(question->key);
        ca_found_account(reply, 201, ca->num_accounts++);
    }
}

static void ca_update_account(struct scripted_ca *ca, unsigned number, struct ca_question *question,
                              struct ca_reply *reply)
{
    ca->last_new_account.len = 0;
    buf_append_slice(&ca->last_new_account, buf_slice(&question->payload));
    if (question->account != (int)number || !json_get(question->json, "contact"))
        ca_fault(ca, "an account that is not the signer's, or no contact (RFC 8555 §7.3.2)");
    if (ca->refuses_contact)
        ca_problem(reply, 400, "invalidContact", NULL);
    else
        ca_found_account(reply, 200, number);
}

/* --- orders --- */

static void ca_write_identifiers(struct json_writer *w, const struct ca_order *order)
{
    json_key(w, "identifiers");
    json_array(w);
    for (size_t i = order->num_names; i-- > 0;) { /* backwards: nobody may count on the order (ACME-40) */
        json_object(w);
        json_put_str(w, "type", "dns");
        json_put_str(w, "value", order->names[i]);
        json_end_object(w);
    }
    json_end_array(w);
}

static void ca_put_url(struct json_writer *w, const char *key, const char *kind, size_t number, int part)
{
    struct buf url = {0};
    if (part < 0)
        buf_printf(&url, "https://ca.test/%s/%zu", kind, number);
    else
        buf_printf(&url, "https://ca.test/%s/%zu-%d", kind, number, part);
    if (key)
        json_put_string(w, key, buf_slice(&url));
    else
        json_string(w, buf_slice(&url));
    buf_cleanup(&url);
}

static void ca_write_order(struct scripted_ca *ca, size_t number, struct ca_reply *reply)
{
    const struct ca_order *order = &ca->orders[number];
    char expires[CLOCK_TEXT_BYTES];
    struct json_writer w = json_writer_on(&reply->body);
    json_object(&w);
    json_put_str(&w, "status", order->status);
    json_put_str(&w, "expires", clock_rfc3339(order->expires_ms, expires));
    ca_write_identifiers(&w, order);
    json_key(&w, "authorizations");
    json_array(&w);
    for (size_t i = 0; i < order->num_names; i++)
        ca_put_url(&w, NULL, "authz", number, (int)i);
    json_end_array(&w);
    ca_put_url(&w, "finalize", "finalize", number, -1);
    if (strcmp(order->status, "valid") == 0)
        ca_put_url(&w, "certificate", "certificate", number, -1);
    json_end_object(&w);
}

static void ca_new_order(struct scripted_ca *ca, struct ca_question *question, struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[ca->num_orders];
    if (ca->num_orders == CA_MAX_ORDERS)
        abort();
    *order = (struct ca_order){.account = (unsigned)question->account, .polls_left = ca->processing_polls};
    order->status = ca->authz_reused ? "ready" : "pending";
    order->expires_ms = ca->clock->wall_ms(ca->clock) + 7 * 86400000LL;
    if (json_get(question->json, "notBefore") || json_get(question->json, "notAfter"))
        ca_fault(ca, "notBefore or notAfter sent (ACME-65)");
    for (const struct json *at = json_get_array(question->json, "identifiers"); at && order->num_names < CA_MAX_NAMES;
         at = at->next) {
        order->authz_status[order->num_names] = ca->authz_reused ? "valid" : "pending";
        order->names[order->num_names++] = mem_strdup(json_get_string(at, "value").ptr);
    }
    reply->status = 201;
    buf_printf(&reply->location, "https://ca.test/order/%u", ca->num_orders);
    ca_write_order(ca, ca->num_orders++, reply);
}

static void ca_get_order(struct scripted_ca *ca, size_t number, struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[number];
    if (strcmp(order->status, "processing") == 0 && order->polls_left-- == 0)
        order->status = "valid";
    reply->status = 200;
    ca_write_order(ca, number, reply);
    if (strcmp(order->status, "processing") == 0)
        buf_append_str(&reply->retry_after, "3");
}

/* --- authorizations --- */

static void ca_settle_authz(struct scripted_ca *ca, struct ca_order *order, size_t part)
{
    if (!order->challenged[part] || strcmp(order->authz_status[part], "pending") != 0 ||
        order->authz_polls_left[part]-- > 0)
        return;
    order->authz_status[part] = ca->validation_problem ? "invalid" : "valid";
    bool ready = true;
    for (size_t i = 0; i < order->num_names; i++)
        ready = ready && strcmp(order->authz_status[i], "valid") == 0;
    if (ca->validation_problem)
        order->status = "invalid";
    else if (ready && strcmp(order->status, "pending") == 0)
        order->status = "ready";
}

static void ca_write_challenge(struct scripted_ca *ca, struct json_writer *w, size_t number, size_t part)
{
    const struct ca_order *order = &ca->orders[number];
    json_object(w);
    json_put_str(w, "type", "http-01");
    json_put_str(w, "status", order->authz_status[part]);
    ca_put_url(w, "url", "challenge", number, (int)part);
    struct buf token = {0};
    buf_printf(&token, "token_of_order_%zu-%zu", number, part);
    json_put_string(w, "token", buf_slice(&token));
    buf_cleanup(&token);
    if (strcmp(order->authz_status[part], "invalid") == 0) {
        struct buf type = {0};
        buf_printf(&type, "urn:ietf:params:acme:error:%s", ca->validation_problem);
        json_key(w, "error");
        json_object(w);
        json_put_string(w, "type", buf_slice(&type));
        json_put_str(w, "detail", "fetched something else");
        json_put_int(w, "status", 403);
        json_end_object(w);
        buf_cleanup(&type);
    }
    json_end_object(w);
}

static void ca_get_authz(struct scripted_ca *ca, size_t number, size_t part, struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[number];
    ca_settle_authz(ca, order, part);
    reply->status = 200;
    struct json_writer w = json_writer_on(&reply->body);
    json_object(&w);
    json_put_str(&w, "status", order->authz_status[part]);
    json_key(&w, "identifier");
    json_object(&w);
    json_put_str(&w, "type", "dns");
    bool wildcard = order->names[part][0] == '*';
    json_put_str(&w, "value", order->names[part] + (wildcard ? 2 : 0));
    json_end_object(&w);
    if (wildcard)
        json_put_bool(&w, "wildcard", true);
    json_key(&w, "challenges");
    json_array(&w);
    json_raw(
        &w,
        SLICE_LIT(
            "{\"type\":\"dns-persist-01\",\"status\":\"pending\",\"url\":\"https://ca.test/other/1\"}")); /* ACME-46 */
    json_raw(&w, SLICE_LIT("{\"type\":\"http-01\",\"status\":\"strange\",\"url\":\"https://ca.test/other/2\",\"token\":"
                           "\"not_this_token_at_all\"}"));
    if (!wildcard)
        ca_write_challenge(ca, &w, number, part);
    json_end_array(&w);
    json_end_object(&w);
}

static void ca_post_challenge(struct scripted_ca *ca, size_t number, size_t part, struct ca_question *question,
                              struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[number];
    if (!question->json || question->json->kind != JSON_OBJECT || question->json->num != 0)
        ca_fault(ca, "challenge not answered with {} (ACME-49)");
    struct buf token = {0}, authorization = {0}, thumbprint = {0};
    buf_printf(&token, "token_of_order_%zu-%zu", number, part);
    jwk_thumbprint(question->key, &thumbprint);
    jwk_key_authorization(buf_slice(&token), buf_slice(&thumbprint), &authorization);
    if (ca->served &&
        !ca->served(ca->served_ctx, slice_str(order->names[part]), buf_slice(&token), buf_slice(&authorization)))
        ca_fault(ca, "challenge posted before its answer is served (ACME-48)");
    buf_cleanup(&token);
    buf_cleanup(&authorization);
    buf_cleanup(&thumbprint);
    if (strcmp(order->authz_status[part], "pending") != 0) {
        ca_problem(reply, 400, "malformed", "not pending");
        return;
    }
    order->challenged[part] = true;
    order->authz_polls_left[part] = ca->validation_polls;
    reply->status = 200;
    struct json_writer w = json_writer_on(&reply->body);
    ca_write_challenge(ca, &w, number, part);
}

/* --- issuance --- */

static bool ca_names_match(const struct ca_order *order, const struct slice *names, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        size_t at = 0;
        while (at < order->num_names && !slice_eq(names[i], slice_str(order->names[at])))
            at++;
        if (at == order->num_names)
            return false;
    }
    return num == order->num_names;
}

static void ca_issue(struct scripted_ca *ca, struct ca_order *order, struct evp_pkey_st *key, const struct slice *names)
{
    int64_t now_s = ca->clock->wall_ms(ca->clock) / 1000;
    struct issue issue = {.key = ca->stolen_key ? ca->stolen_key : key,
                          .issuer = ca->issuer,
                          .issuer_key = ca->issuer_key,
                          .names = names,
                          .num_names = order->num_names,
                          .not_before_s = now_s - ca->backdate_s,
                          .not_after_s = now_s - ca->backdate_s + ca->lifetime_s,
                          .serial = 1000 + ca->num_certificates};
    struct buf pem = {0};
    struct x509_st *leaf = issue_certificate(&issue);
    issue_write_pem(leaf, &pem);
    issue_write_pem(ca->issuer, &pem);
    if (ca->chain_suffix)
        buf_append_str(&pem, ca->chain_suffix);
    X509_free(leaf);
    ca_remember(ca, &issue);
    order->chain = buf_take(&pem);
    ca->num_certificates++;
}

static void ca_finalize(struct scripted_ca *ca, size_t number, struct ca_question *question, struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[number];
    struct slice names[CA_MAX_NAMES];
    struct buf text = {0};
    size_t num = 0;
    bool has_cn = false;
    if (strcmp(order->status, "ready") != 0) {
        ca_problem(reply, 403, "orderNotReady", NULL);
        return;
    }
    b64url_decode(&question->csr, json_get_string(question->json, "csr"));
    struct evp_pkey_st *key = issue_read_csr(buf_slice(&question->csr), names, CA_MAX_NAMES, &num, &text, &has_cn);
    if (!key || !ca_names_match(order, names, num) || (key && key_same_public(key, question->key))) {
        ca_fault(ca, "CSR bad, of other names (ACME-53), or with the account's key (ACME-34)");
        ca_problem(reply, 400, "badCSR", NULL);
    } else if (ca->needs_cn && !has_cn) {
        ca_problem(reply, 400, "badCSR", "common name wanted");
    } else {
        ca_issue(ca, order, key, names);
        order->status = ca->processing_polls ? "processing" : "valid";
        reply->status = 200;
        ca_write_order(ca, number, reply);
    }
    EVP_PKEY_free(key);
    buf_cleanup(&text);
}
