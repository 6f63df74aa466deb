/* Part of scripted_ca.c: certificates and their chains. */
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
    int64_t lifetime_s = ca->lifetime_s_of ? ca->lifetime_s_of(order->names[0]) : ca->lifetime_s;
    struct issue issue = {.key = ca->stolen_key ? ca->stolen_key : key,
                          .issuer = ca->issuer,
                          .issuer_key = ca->issuer_key,
                          .names = names,
                          .num_names = order->num_names,
                          .not_before_s = now_s - ca->backdate_s,
                          .not_after_s = now_s - ca->backdate_s + lifetime_s,
                          .serial = 1000 + ca->num_certificates,
                          .no_key_id =
                              ca->no_key_id && strncmp(order->names[0], ca->no_key_id, strlen(ca->no_key_id)) == 0};
    struct buf pem = {0};
    struct x509_st *leaf = issue_certificate(&issue);
    issue_write_pem(leaf, &pem);
    X509_free(leaf);
    ca_remember(ca, &issue);
    order->leaf = buf_take(&pem);
    ca->num_certificates++;
}

/* The issuer as the alternate root of that number certifies it. */
static struct x509_st *ca_cross_sign(struct scripted_ca *ca, unsigned number)
{
    int64_t now_s = ca->clock->wall_ms(ca->clock) / 1000;
    struct buf subject = {0};
    buf_printf(&subject, "Alternate Root %u", number);
    struct issue root = {.subject = buf_cstr(&subject),
                         .key = ca->other_key,
                         .not_before_s = now_s - 86400,
                         .not_after_s = now_s + 86400,
                         .serial = 100 + number,
                         .is_ca = true};
    struct x509_st *above = issue_certificate(&root);
    struct issue issuer = {.subject = "Scripted CA",
                           .key = ca->issuer_key,
                           .issuer = above,
                           .issuer_key = ca->other_key,
                           .not_before_s = now_s - 86400,
                           .not_after_s = now_s + 86400,
                           .serial = 200 + number,
                           .is_ca = true};
    struct x509_st *certificate = issue_certificate(&issuer);
    X509_free(above);
    buf_cleanup(&subject);
    return certificate;
}

static void ca_write_links(const struct scripted_ca *ca, unsigned number, struct buf *out)
{
    buf_append_str(out, "<https://ca.test/dir>;rel=\"index\"");
    for (unsigned i = 1; i <= ca->num_alternates; i++)
        buf_printf(out, ", <https://ca.test/alternate/%u-%u>; rel=\"alternate\"", number, i);
}

static void ca_get_chain(struct scripted_ca *ca, const struct ca_target *target, struct ca_reply *reply)
{
    const char *leaf = ca->orders[target->number].leaf;
    if (!leaf) {
        ca_problem(reply, 404, "malformed", "no certificate");
        return;
    }
    reply->status = 200;
    reply->content_type = "application/pem-certificate-chain";
    buf_append_str(&reply->body, leaf);
    if (target->place == CA_ALTERNATE) {
        struct x509_st *issuer = ca_cross_sign(ca, target->part);
        issue_write_pem(issuer, &reply->body);
        X509_free(issuer);
    } else {
        issue_write_pem(ca->issuer, &reply->body);
        ca_write_links(ca, target->number, &reply->link);
    }
    if (ca->chain_suffix)
        buf_append_str(&reply->body, ca->chain_suffix);
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
