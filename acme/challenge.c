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

/* What we serve, in order of preference. */
static const char *const challenge_types[] = {"http-01"};

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
    for (size_t i = 0; i < sizeof challenge_types / sizeof *challenge_types; i++)
        if (slice_eq(challenge->type, slice_str(challenge_types[i])))
            return true;
    return false;
}
