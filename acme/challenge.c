#include "acme/challenge.h"

#include "acme/request.h"
#include "base/b64url.h"
#include "base/json_read.h"
#include "base/limits.h"

static const char *const challenge_statuses[] = {
    [CHALLENGE_PENDING] = "pending",
    [CHALLENGE_PROCESSING] = "processing",
    [CHALLENGE_VALID] = "valid",
    [CHALLENGE_INVALID] = "invalid",
};

static const char *const challenge_names[NUM_ACME_CHALLENGES] = {
    [ACME_HTTP_01] = "http-01",
    [ACME_TLS_ALPN_01] = "tls-alpn-01",
    [ACME_DNS_01] = "dns-01",
    [ACME_DNS_PERSIST_01] = "dns-persist-01",
};

const char *acme_challenge_name(enum acme_challenge challenge)
{
    return challenge_names[challenge];
}

bool acme_challenge_from_name(struct slice name, enum acme_challenge *out_challenge)
{
    for (enum acme_challenge challenge = 0; challenge < NUM_ACME_CHALLENGES; challenge++)
        if (slice_eq(name, slice_str(challenge_names[challenge]))) {
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

bool challenge_read(const struct json *json, struct challenge *out_challenge)
{
    struct challenge challenge = {
        .type = json_get_string(json, "type"),
        .url = json_get_string(json, "url"),
        .token = json_get_string(json, "token"),
        .status = challenge_status_from(json_get_string(json, "status")),
        .error = json_get(json, "error"),
    };
    if (challenge.type.len == 0 || challenge.status == CHALLENGE_UNKNOWN || !request_url_is_valid(challenge.url))
        return false;
    *out_challenge = challenge;
    return true;
}

bool challenge_is_usable(const struct challenge *challenge)
{
    if (challenge->token.len < LIMIT_TOKEN_MIN || challenge->token.len > LIMIT_TOKEN_MAX ||
        !b64url_valid(challenge->token))
        return false;
    return slice_eq(challenge->type, slice_str(challenge_names[ACME_HTTP_01]));
}
