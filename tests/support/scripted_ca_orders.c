/* Part of scripted_ca.c: accounts, orders, authorizations. */
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
        json_put_str(w, "type", name_is_ip(slice_str(order->names[i])) ? "ip" : "dns");
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
    if (order->profile)
        json_put_str(&w, "profile", order->profile);
    if (order->replaces)
        json_put_str(&w, "replaces", order->replaces);
    ca_put_url(&w, "finalize", "finalize", number, -1);
    if (strcmp(order->status, "valid") == 0)
        ca_put_url(&w, "certificate", "certificate", number, -1);
    json_end_object(&w);
}

static bool ca_has_profile(const struct scripted_ca *ca, struct slice name)
{
    for (size_t i = 0; i < CA_MAX_PROFILES && ca->profiles[i]; i++)
        if (slice_eq(slice_str(ca->profiles[i]), name))
            return true;
    return false;
}

/* false: the answer is in reply. */
static bool ca_takes_order(struct scripted_ca *ca, const struct json *json, struct ca_reply *reply)
{
    const struct json *identifiers = json_get(json, "identifiers");
    struct slice profile = json_get_string(json, "profile"), replaces = json_get_string(json, "replaces");
    if (json_get(json, "notBefore") || json_get(json, "notAfter"))
        ca_fault(ca, "notBefore or notAfter sent (ACME-65)");
    if (replaces.ptr && !ca->has_renewal_info)
        ca_fault(ca, "replaces sent to a CA without renewalInfo (ACME-98)");
    for (const struct json *at = identifiers ? identifiers->first : NULL; at; at = at->next) {
        bool ip = name_is_ip(json_get_string(at, "value"));
        if (!slice_eq(json_get_string(at, "type"), slice_str(ip ? "ip" : "dns")))
            ca_fault(ca, "identifier of the wrong type (ACME-83)");
    }
    if (profile.ptr && !ca_has_profile(ca, profile))
        ca_problem(reply, 400, "invalidProfile", "Profile not available.");
    else if (ca->max_names && identifiers && identifiers->num > ca->max_names)
        ca_problem(reply, 400, "malformed", "Order cannot contain more than so many identifiers");
    else if (replaces.ptr && ca->replaces_status)
        ca_problem(reply, ca->replaces_status, ca->replaces_problem, "not that predecessor");
    else
        return true;
    return false;
}

static char *ca_copy_string(const struct json *json, const char *key)
{
    struct slice value = json_get_string(json, key);
    return value.ptr ? mem_strdup(value.ptr) : NULL;
}

static void ca_new_order(struct scripted_ca *ca, struct ca_question *question, struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[ca->num_orders];
    if (ca->num_orders == CA_MAX_ORDERS)
        abort();
    if (!ca_takes_order(ca, question->json, reply))
        return;
    *order = (struct ca_order){.account = (unsigned)question->account, .polls_left = ca->processing_polls};
    order->status = ca->authz_reused ? "ready" : "pending";
    order->expires_ms = ca->clock->wall_ms(ca->clock) + 7 * 86400000LL;
    order->profile = ca_copy_string(question->json, "profile");
    order->replaces = ca_copy_string(question->json, "replaces");
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
    bool fails = ca->validation_problem && (!ca->fails || ca->fails & 1u << order->challenge[part]);
    order->authz_status[part] = fails ? "invalid" : "valid";
    bool ready = true;
    for (size_t i = 0; i < order->num_names; i++)
        ready = ready && strcmp(order->authz_status[i], "valid") == 0;
    if (fails)
        order->status = "invalid";
    else if (ready && strcmp(order->status, "pending") == 0)
        order->status = "ready";
}

static void ca_write_error(const struct scripted_ca *ca, struct json_writer *w)
{
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

static void ca_write_token(struct buf *out, size_t number, size_t part, enum acme_challenge kind)
{
    buf_printf(out, "token_of_order_%zu-%zu-%u", number, part, kind);
}

static void ca_write_challenge(struct scripted_ca *ca, struct json_writer *w, size_t number, size_t part,
                               enum acme_challenge kind)
{
    const struct ca_order *order = &ca->orders[number];
    bool decided = order->challenged[part] && order->challenge[part] == kind;
    struct buf url = {0}, token = {0};
    buf_printf(&url, "https://ca.test/challenge/%zu-%zu-%u", number, part, kind);
    ca_write_token(&token, number, part, kind);
    json_object(w);
    json_put_str(w, "type", acme_challenge_name(kind));
    json_put_str(w, "status", decided ? order->authz_status[part] : "pending");
    json_put_string(w, "url", buf_slice(&url));
    if (kind == ACME_DNS_PERSIST_01) {
        json_key(w, ca->account_hash_prefix ? "issuerDomainNames" : "issuer-domain-names");
        json_raw(w, slice_str(ca->issuer_names));
    } else {
        json_put_string(w, "token", buf_slice(&token));
    }
    if (decided && strcmp(order->authz_status[part], "invalid") == 0)
        ca_write_error(ca, w);
    json_end_object(w);
    buf_cleanup(&url);
    buf_cleanup(&token);
}

/* What suits the name, of what is offered; and what nobody can read (ACME-46). */
static void ca_write_challenges(struct scripted_ca *ca, struct json_writer *w, size_t number, size_t part)
{
    static const struct slice odd[] = {
        SLICE_LIT("{\"type\":\"novel-02\",\"status\":\"pending\",\"url\":\"https://ca.test/other/1\"}"),
        SLICE_LIT("{\"type\":\"http-01\",\"status\":\"strange\",\"url\":\"https://ca.test/other/2\",\"token\":"
                  "\"not_this_token_at_all\"}"),
    };
    struct slice name = slice_str(ca->orders[number].names[part]);
    json_key(w, "challenges");
    json_array(w);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        json_raw(w, odd[i]);
    for (enum acme_challenge kind = ACME_HTTP_01; kind < NUM_ACME_CHALLENGES; kind++)
        if (ca->offers & 1u << kind && challenge_suits(kind, name))
            ca_write_challenge(ca, w, number, part, kind);
    json_end_array(w);
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
    json_put_str(&w, "type", name_is_ip(slice_str(order->names[part])) ? "ip" : "dns");
    bool wildcard = order->names[part][0] == '*';
    json_put_str(&w, "value", order->names[part] + (wildcard ? 2 : 0));
    json_end_object(&w);
    if (wildcard)
        json_put_bool(&w, "wildcard", true);
    ca_write_challenges(ca, &w, number, part);
    json_end_object(&w);
}

/* RFC 8555 §7.5.2 */
static void ca_deactivate_authz(struct scripted_ca *ca, const struct ca_target *target, struct ca_question *question,
                                struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[target->number];
    const char **status = &order->authz_status[target->part];
    if (question->json->num != 1 || !slice_eq(json_get_string(question->json, "status"), SLICE_LIT("deactivated")))
        ca_fault(ca, "an authorization can only be deactivated");
    if (strcmp(*status, "pending") != 0)
        ca_fault(ca, "an authorization that is %s is not to be deactivated (ACME-64)", *status);
    *status = "deactivated";
    order->status = "invalid";
    ca->num_deactivated++;
    ca_get_authz(ca, target->number, target->part, reply);
}

static void ca_check_answer(struct scripted_ca *ca, const struct ca_target *target, struct evp_pkey_st *account_key)
{
    const struct ca_order *order = &ca->orders[target->number];
    struct buf token = {0}, authorization = {0}, thumbprint = {0}, dns_value = {0}, account_url = {0};
    struct ca_answer answer = {.challenge = target->kind, .name = slice_str(order->names[target->part])};
    jwk_thumbprint(account_key, &thumbprint);
    if (target->kind != ACME_DNS_PERSIST_01) {
        ca_write_token(&token, target->number, target->part, target->kind);
        jwk_key_authorization(buf_slice(&token), buf_slice(&thumbprint), &authorization);
    }
    if (target->kind == ACME_DNS_01) {
        uint8_t digest[KEY_SHA256_BYTES];
        key_sha256(buf_slice(&authorization), digest);
        b64url_encode(&dns_value, slice_make(digest, sizeof digest));
    }
    buf_printf(&account_url, "https://ca.test/account/%u", order->account);
    answer.token = buf_slice(&token);
    answer.key_authorization = buf_slice(&authorization);
    answer.dns_value = buf_slice(&dns_value);
    answer.account_url = buf_slice(&account_url);
    answer.thumbprint = buf_slice(&thumbprint);
    if (ca->served && !ca->served(ca->served_ctx, &answer))
        ca_fault(ca, "challenge posted before its answer is served (ACME-48)");
    buf_cleanup(&token);
    buf_cleanup(&authorization);
    buf_cleanup(&thumbprint);
    buf_cleanup(&dns_value);
    buf_cleanup(&account_url);
}

static void ca_post_challenge(struct scripted_ca *ca, const struct ca_target *target, struct ca_question *question,
                              struct ca_reply *reply)
{
    struct ca_order *order = &ca->orders[target->number];
    unsigned part = target->part;
    if (!question->json || question->json->kind != JSON_OBJECT || question->json->num != 0)
        ca_fault(ca, "challenge not answered with {} (ACME-49)");
    if (!(ca->offers & 1u << target->kind) || !challenge_suits(target->kind, slice_str(order->names[part])))
        ca_fault(ca, "a challenge that was not offered");
    ca_check_answer(ca, target, question->key);
    if (strcmp(order->authz_status[part], "pending") != 0) {
        ca_problem(reply, 400, "malformed", "not pending");
        return;
    }
    order->challenged[part] = true;
    order->challenge[part] = target->kind;
    order->authz_polls_left[part] = ca->validation_polls;
    reply->status = 200;
    struct json_writer w = json_writer_on(&reply->body);
    ca_write_challenge(ca, &w, target->number, part, target->kind);
}
