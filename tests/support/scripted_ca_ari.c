/* Part of scripted_ca.c: what it remembers of certificates, and the renewalInfo of each (RFC 9773). */
static void ca_remember(struct scripted_ca *ca, const struct issue *issue)
{
    ca->issued = mem_realloc(ca->issued, (ca->num_issued + 1) * sizeof *ca->issued);
    ca->issued[ca->num_issued++] = (struct ca_issued){
        .serial = issue->serial, .not_before_s = issue->not_before_s, .not_after_s = issue->not_after_s, .reason = -1};
}

static struct ca_issued *ca_find_issued(struct scripted_ca *ca, uint64_t serial)
{
    for (size_t i = ca->num_issued; i-- > 0;)
        if (ca->issued[i].serial == serial)
            return &ca->issued[i];
    return NULL;
}

/* The certificate of an id that is exactly what it should be (ACME-90); NULL: none, or another spelling. */
static struct ca_issued *ca_find_by_id(struct scripted_ca *ca, struct slice id)
{
    struct buf octets = {0};
    uint64_t serial = 0;
    struct slice rest = id, issuer = slice_split(&rest, '.');
    bool ok = b64url_decode(&octets, rest) && octets.len <= 8;
    for (size_t i = 0; ok && i < octets.len; i++)
        serial = serial << 8 | (uint8_t)octets.ptr[i];
    octets.len = 0;
    b64url_encode(&octets, issue_key_id(ca->issuer_key, (uint8_t[ISSUE_KEY_ID_BYTES]){0}));
    ok = ok && slice_eq(issuer, buf_slice(&octets));
    buf_cleanup(&octets);
    return ok ? ca_find_issued(ca, serial) : NULL;
}

/* The instant that Let's Encrypt would like best, one hundredth of the lifetime to either side (ACME-102). */
static void ca_choose_window(const struct scripted_ca *ca, const struct ca_issued *issued, int64_t *start_ms,
                             int64_t *end_ms)
{
    int64_t lifetime_ms = (issued->not_after_s - issued->not_before_s) * 1000;
    int64_t ideal_ms = issued->not_before_s * 1000 + (lifetime_ms < 864000000 ? lifetime_ms / 2 : lifetime_ms * 2 / 3);
    *start_ms = ca->ari_end_ms ? ca->ari_start_ms : ideal_ms - lifetime_ms / 100;
    *end_ms = ca->ari_end_ms ? ca->ari_end_ms : ideal_ms + lifetime_ms / 100;
}

static void ca_serve_renewal_info(struct scripted_ca *ca, struct ca_call *call, struct slice id)
{
    struct ca_reply *reply = &call->reply;
    struct ca_issued *issued = ca_find_by_id(ca, id);
    char start[CLOCK_TEXT_BYTES], end[CLOCK_TEXT_BYTES];
    int64_t start_ms, end_ms;
    if (call->method != ACME_GET || call->body.len)
        ca_fault(ca, "renewalInfo asked otherwise than by GET (ACME-91)");
    if (!ca->has_renewal_info)
        ca_fault(ca, "renewalInfo asked where the directory has none (ACME-91)");
    if (!issued) {
        ca_fault(ca, "renewalInfo asked for an unknown certificate (ACME-90): %.*s", (int)id.len, id.ptr);
        ca_problem(reply, 404, "malformed", "no such certificate");
        return;
    }
    if (issued->not_after_s * 1000 <= ca->clock->wall_ms(ca->clock))
        ca_fault(ca, "renewalInfo asked for an expired certificate (ACME-96)");
    ca_choose_window(ca, issued, &start_ms, &end_ms);
    reply->status = 200;
    buf_append_str(&reply->retry_after, ca->ari_retry_after ? ca->ari_retry_after : "21600");
    struct json_writer w = json_writer_on(&reply->body);
    json_object(&w);
    json_key(&w, "suggestedWindow");
    json_object(&w);
    json_put_str(&w, "start", clock_rfc3339(start_ms, start));
    json_put_str(&w, "end", clock_rfc3339(end_ms, end));
    json_end_object(&w);
    if (ca->ari_explanation)
        json_put_str(&w, "explanationURL", ca->ari_explanation);
    json_end_object(&w);
}
