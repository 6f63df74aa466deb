#include "acme/directory.h"

#include "acme/request.h"
#include "base/json_read.h"
#include "base/limits.h"

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
