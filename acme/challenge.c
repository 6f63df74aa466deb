#include "acme/challenge.h"

#include "acme/key.h"
#include "acme/request.h"
#include "base/b64url.h"
#include "base/json_read.h"
#include "base/limits.h"
#include "base/url.h"

static const char *const challenge_statuses[] = {
    [CHALLENGE_PENDING] = "pending",
    [CHALLENGE_PROCESSING] = "processing",
    [CHALLENGE_VALID] = "valid",
    [CHALLENGE_INVALID] = "invalid",
};

static const struct challenge_kind {
    const char *name;
    bool has_token, by_dns;
} challenge_kinds[NUM_ACME_CHALLENGES] = {
    [ACME_HTTP_01] = {"http-01", true, false},
    [ACME_TLS_ALPN_01] = {"tls-alpn-01", true, false},
    [ACME_DNS_01] = {"dns-01", true, true},
    [ACME_DNS_PERSIST_01] = {"dns-persist-01", false, true},
};

const char *acme_challenge_name(enum acme_challenge challenge)
{
    return challenge_kinds[challenge].name;
}

bool acme_challenge_from_name(struct slice name, enum acme_challenge *out_challenge)
{
    for (enum acme_challenge challenge = ACME_HTTP_01; challenge < NUM_ACME_CHALLENGES; challenge++)
        if (slice_eq(name, slice_str(challenge_kinds[challenge].name))) {
            *out_challenge = challenge;
            return true;
        }
    return false;
}

static enum challenge_status challenge_status_from(struct slice text)
{
    for (enum challenge_status status = CHALLENGE_PENDING; status <= CHALLENGE_INVALID; status++)
        if (slice_eq(text, slice_str(challenge_statuses[status])))
            return status;
    return CHALLENGE_UNKNOWN;
}

/* Drafts before -02 call it by another name. */
static const struct json *challenge_issuer_names(const struct json *json)
{
    const struct json *names = json_get_array(json, "issuerDomainNames");
    return names || json_get(json, "issuerDomainNames") ? names : json_get_array(json, "issuer-domain-names");
}

bool challenge_read(const struct json *json, struct challenge *out_challenge)
{
    struct challenge challenge = {
        .type = json_get_string(json, "type"),
        .url = json_get_string(json, "url"),
        .token = json_get_string(json, "token"),
        .status = challenge_status_from(json_get_string(json, "status")),
        .issuer_names = challenge_issuer_names(json),
        .error = json_get(json, "error"),
    };
    challenge.known = acme_challenge_from_name(challenge.type, &challenge.kind);
    if (challenge.type.len == 0 || challenge.status == CHALLENGE_UNKNOWN || !request_url_is_valid(challenge.url))
        return false;
    *out_challenge = challenge;
    return true;
}

bool challenge_suits(enum acme_challenge kind, struct slice name)
{
    if (challenge_kinds[kind].by_dns)
        return !name_is_ip(name);
    return !slice_starts(name, SLICE_LIT("*."));
}

bool challenge_is_seen(enum acme_challenge kind)
{
    return !challenge_kinds[kind].by_dns;
}

static bool challenge_token_is_fit(struct slice token)
{
    return token.len >= LIMIT_TOKEN_MIN && token.len <= LIMIT_TOKEN_MAX && b64url_valid(token);
}

static bool challenge_issuers_are_fit(const struct json *names)
{
    size_t num = 0;
    for (const struct json *at = names; at; at = at->next)
        if (++num > CHALLENGE_MAX_ISSUER_NAMES || at->kind != JSON_STRING || !name_is_dns(at->string, false))
            return false;
    return num > 0;
}

bool challenge_is_usable(const struct challenge *challenge, struct slice name)
{
    if (!challenge->known || !challenge_suits(challenge->kind, name))
        return false;
    return challenge_kinds[challenge->kind].has_token ? challenge_token_is_fit(challenge->token)
                                                      : challenge_issuers_are_fit(challenge->issuer_names);
}

size_t challenge_read_issuers(const struct challenge *challenge, struct arena *arena, struct slice **out_names)
{
    struct slice *names = arena_calloc(arena, CHALLENGE_MAX_ISSUER_NAMES, sizeof *names);
    size_t num = 0;
    for (const struct json *at = challenge->issuer_names; at && num < CHALLENGE_MAX_ISSUER_NAMES; at = at->next)
        names[num++] = arena_copy(arena, at->string);
    *out_names = names;
    return num;
}

void challenge_write_account_uri(const struct challenge_account *account, struct slice domain, struct buf *out)
{
    uint8_t digest[KEY_SHA256_BYTES];
    struct buf hashed = {0};
    if (account->hash_prefix.len == 0) {
        buf_append_slice(out, account->url);
        return;
    }
    buf_append_char(&hashed, (char)domain.len); /* 253 at most */
    buf_append_slice(&hashed, domain);
    buf_append_slice(&hashed, account->thumbprint);
    buf_append_slice(&hashed, account->url);
    key_sha256(buf_slice(&hashed), digest);
    buf_cleanup(&hashed);
    buf_append_slice(out, account->hash_prefix);
    buf_append_str(out, "sha-256/");
    b64url_encode(out, slice_make(digest, sizeof digest));
}

void challenge_write_dns_value(struct slice key_authorization, struct buf *out)
{
    uint8_t digest[KEY_SHA256_BYTES];
    key_sha256(key_authorization, digest);
    b64url_encode(out, slice_make(digest, sizeof digest));
}
