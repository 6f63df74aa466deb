#include "acme/directory.h"

#include "acme/request.h"
#include "base/json_read.h"
#include "base/limits.h"
#include "base/url.h"

#include <string.h>

void directory_cleanup(struct directory *directory)
{
    arena_cleanup(&directory->arena);
    *directory = (struct directory){0};
}

/* A URL that is there must be one that we may ask. */
static bool directory_url(struct arena *arena, const struct json *json, const char *key, bool required,
                          struct slice *out_url)
{
    struct slice url = json_get_string(json, key);
    *out_url = SLICE_NONE;
    if (!url.ptr)
        return !required;
    if (!request_url_is_valid(url))
        return !required; /* an odd optional member is as good as none */
    *out_url = arena_copy(arena, url);
    return true;
}

/* One that may be written into an order, a log and a sentence. */
static bool directory_profile_is_fit(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
            return false;
    return name.len > 0 && name.len <= DIRECTORY_MAX_PROFILE_BYTES;
}

/* An object of names to descriptions. */
static void directory_read_profiles(const struct json *profiles, struct directory *directory)
{
    if (!profiles || profiles->kind != JSON_OBJECT || !profiles->first)
        return;
    directory->profiles = arena_calloc(&directory->arena, DIRECTORY_MAX_PROFILES, sizeof *directory->profiles);
    for (const struct json *at = profiles->first; at && directory->num_profiles < DIRECTORY_MAX_PROFILES; at = at->next)
        if (directory_profile_is_fit(at->key))
            directory->profiles[directory->num_profiles++] = arena_copy(&directory->arena, at->key);
}

/* Returns how many. */
static size_t directory_read_identities(struct arena *arena, const struct json *meta, const char *key,
                                        struct slice out[DIRECTORY_MAX_IDENTITIES])
{
    size_t num = 0;
    for (const struct json *at = json_get_array(meta, key); at && num < DIRECTORY_MAX_IDENTITIES; at = at->next)
        if (at->kind == JSON_STRING && name_is_dns(at->string, false))
            out[num++] = arena_copy(arena, at->string);
    return num;
}

/* It goes into a record that somebody pastes: nothing may end the value or the text before its end. */
static void directory_read_hash_prefix(struct slice prefix, struct directory *directory)
{
    if (!request_url_is_valid(prefix))
        return;
    for (size_t i = 0; i < prefix.len; i++)
        if (prefix.ptr[i] <= ' ' || prefix.ptr[i] > '~' || strchr("\";\\", prefix.ptr[i]))
            return;
    directory->account_hash_prefix = arena_copy(&directory->arena, prefix);
}

const struct slice *directory_issuer_names(const struct directory *directory, size_t *out_num)
{
    bool said = directory->num_issuer_names > 0;
    *out_num = said ? directory->num_issuer_names : directory->num_caa_identities;
    return said ? directory->issuer_names : directory->caa_identities;
}

static bool directory_has_profile(const struct directory *directory, struct slice name)
{
    for (size_t i = 0; i < directory->num_profiles; i++)
        if (slice_eq(directory->profiles[i], name))
            return true;
    return false;
}

struct slice directory_choose_profile(const struct directory *directory, const struct slice *wanted, size_t num_wanted)
{
    for (size_t i = 0; i < num_wanted; i++)
        if (directory_has_profile(directory, wanted[i]))
            return wanted[i];
    return (struct slice){"", 0};
}

void directory_write_profiles(const struct directory *directory, struct buf *out)
{
    for (size_t i = 0; i < directory->num_profiles; i++) {
        buf_append_str(out, i ? ", " : "");
        buf_append_slice(out, directory->profiles[i]);
    }
    if (directory->num_profiles == 0)
        buf_append_str(out, "none");
}

static struct err directory_read_json(const struct json *json, struct directory *directory)
{
    struct arena *arena = &directory->arena;
    if (!directory_url(arena, json, "newNonce", true, &directory->new_nonce) ||
        !directory_url(arena, json, "newAccount", true, &directory->new_account) ||
        !directory_url(arena, json, "newOrder", true, &directory->new_order))
        return err_make(ERR_INPUT, 0,
                        "not an ACME directory: newNonce, newAccount or newOrder is missing or not https");
    directory_url(arena, json, "revokeCert", false, &directory->revoke_cert);
    directory_url(arena, json, "keyChange", false, &directory->key_change);
    directory_url(arena, json, "renewalInfo", false, &directory->renewal_info);
    const struct json *meta = json_get(json, "meta");
    struct slice terms = json_get_string(meta, "termsOfService");
    directory->terms_url = terms.len ? arena_copy(arena, slice_first(terms, 2048)) : SLICE_NONE;
    directory_read_profiles(json_get(meta, "profiles"), directory);
    directory->num_caa_identities = directory_read_identities(arena, meta, "caaIdentities", directory->caa_identities);
    directory->num_issuer_names = directory_read_identities(arena, meta, "issuerDomainNames", directory->issuer_names);
    directory_read_hash_prefix(json_get_string(meta, "accountHashPrefix"), directory);
    directory->external_account_required = json_get_bool(meta, "externalAccountRequired");
    return ERR_OK;
}

struct err directory_read(struct slice body, struct directory *out_directory)
{
    struct directory directory = {0};
    struct arena scratch = {0};
    struct json *json = NULL;
    struct err err = json_parse(&scratch, body, LIMIT_JSON_BYTES, &json);
    if (err_is(err))
        err = err_make(ERR_INPUT, err.code, "not an ACME directory: not JSON");
    else
        err = directory_read_json(json, &directory);
    arena_cleanup(&scratch);
    if (err_is(err)) {
        directory_cleanup(&directory);
        return err;
    }
    *out_directory = directory;
    return ERR_OK;
}
