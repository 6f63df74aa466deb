#include "acme/authz.h"

#include "base/json_read.h"

static const char *const authz_statuses[] = {
    [AUTHZ_PENDING] = "pending",         [AUTHZ_VALID] = "valid",     [AUTHZ_INVALID] = "invalid",
    [AUTHZ_DEACTIVATED] = "deactivated", [AUTHZ_EXPIRED] = "expired", [AUTHZ_REVOKED] = "revoked",
};

static enum authz_status authz_status_from(struct slice text)
{
    for (enum authz_status status = AUTHZ_PENDING; status <= AUTHZ_REVOKED; status++)
        if (slice_eq(text, slice_str(authz_statuses[status])))
            return status;
    return AUTHZ_UNKNOWN;
}

struct err authz_read(struct arena *arena, const struct json *json, struct authz *out_authz)
{
    struct authz authz = {.status = authz_status_from(json_get_string(json, "status"))};
    struct slice value = json_get_string(json_get(json, "identifier"), "value");
    if (authz.status == AUTHZ_UNKNOWN)
        return err_make(ERR_INPUT, 0, "authorization without a status that we know");
    if (value.len == 0)
        return err_make(ERR_INPUT, 0, "authorization without an identifier");
    authz.name = json_get_bool(json, "wildcard")
                     ? arena_printf(arena, "*.%.*s", (int)slice_first(value, 255).len, value.ptr)
                     : value;
    for (const struct json *at = json_get_array(json, "challenges"); at; at = at->next)
        if (authz.num_challenges < AUTHZ_MAX_CHALLENGES && challenge_read(at, &authz.challenges[authz.num_challenges]))
            authz.num_challenges++;
    *out_authz = authz;
    return ERR_OK;
}

static const struct challenge *authz_find(const struct authz *authz, struct slice name, enum acme_challenge kind,
                                          enum challenge_status status)
{
    for (size_t i = 0; i < authz->num_challenges; i++) {
        const struct challenge *challenge = &authz->challenges[i];
        if (challenge->status == status && challenge->kind == kind && challenge_is_usable(challenge, name))
            return challenge;
    }
    return NULL;
}

const struct challenge *authz_choose(const struct authz *authz, struct slice name, const enum acme_challenge *wanted,
                                     size_t num_wanted)
{
    static const enum challenge_status open[] = {CHALLENGE_PROCESSING, CHALLENGE_PENDING};
    for (size_t at = 0; at < sizeof open / sizeof *open; at++)
        for (size_t i = 0; i < num_wanted; i++) {
            const struct challenge *challenge = authz_find(authz, name, wanted[i], open[at]);
            if (challenge)
                return challenge;
        }
    return NULL;
}

void authz_write_offered(const struct authz *authz, struct buf *out)
{
    for (size_t i = 0; i < authz->num_challenges; i++) {
        buf_append_str(out, i ? ", " : "");
        buf_append_slice(out, slice_first(authz->challenges[i].type, 64));
    }
    if (authz->num_challenges == 0)
        buf_append_str(out, "none");
}

struct problem authz_problem(struct arena *arena, const struct authz *authz, struct slice *out_type)
{
    *out_type = (struct slice){"", 0};
    for (size_t i = 0; i < authz->num_challenges; i++) {
        const struct challenge *challenge = &authz->challenges[i];
        if (!challenge->error && challenge->status != CHALLENGE_INVALID)
            continue;
        *out_type = arena_copy(arena, challenge->type);
        if (challenge->error)
            return problem_of_json(arena, challenge->error, PROBLEM_AT_VALIDATION);
    }
    return problem_local(arena, PROBLEM_VALIDATION, ERR_OK,
                         SLICE_LIT("the CA did not validate the name and gave no reason"));
}
