#include "base/b64url.h"
#include "certs/keeper_internal.h"

static void keeper_wake_at(void *ctx, int64_t mono_ms)
{
    alarm_set(&((struct keeper *)ctx)->engine, mono_ms);
}

static const char *engine_mistake_variable(const struct config *config)
{
    return config->acme.account_key.text.len ? "PORTICO_ACME_ACCOUNT_KEY" : "PORTICO_ACME_DIRECTORY, _EMAIL or _EAB_*";
}

/* What both can be made of; the HMAC key's text is the caller's to overwrite. */
static struct acme_options engine_options(const struct config *config, struct buf *hmac_key)
{
    b64url_encode(hmac_key, config->acme.eab_hmac_key);
    return (struct acme_options){.directory_url = config->acme.directory,
                                 .accept_terms = config->acme.accept_terms,
                                 .email = config->acme.email,
                                 .eab_kid = config->acme.eab_kid,
                                 .eab_hmac_key = buf_slice(hmac_key),
                                 .account_key_pem = config->acme.account_key.text};
}

static struct err engine_make(const struct acme_world *world, const struct config *config, struct acme **out_acme,
                              struct buf *out_mistake)
{
    struct buf hmac_key = {0};
    char text[160];
    struct acme_options options = engine_options(config, &hmac_key);
    struct err err = acme_new(world, &options, out_acme);
    buf_cleanup_secret(&hmac_key);
    if (err_is(err))
        buf_printf(out_mistake, "%s: %s", engine_mistake_variable(config), err_text(err, text, sizeof text));
    return err;
}

struct err keeper_engine_new(struct keeper *keeper, struct buf *out_mistake)
{
    struct acme_world world = {.transport = keeper->world.transport,
                               .store = keeper->world.store,
                               .clock = keeper->world.clock,
                               .log = keeper->world.log,
                               .ctx = keeper,
                               .wake_at = keeper_wake_at,
                               .publish = keeper_publish_challenge,
                               .withdraw = keeper_withdraw_challenge,
                               .account_known = keeper_account_known};
    return engine_make(&world, keeper->config, &keeper->acme, out_mistake);
}

static void check_wake_at(void *ctx, int64_t mono_ms)
{
    (void)ctx, (void)mono_ms;
}

struct err keeper_engine_check(const struct keeper *keeper, const struct config *config, struct buf *out_mistake)
{
    struct acme_world world = {.clock = keeper->world.clock, .wake_at = check_wake_at}; /* never woken */
    struct acme *acme = NULL;
    struct err err = engine_make(&world, config, &acme, out_mistake);
    if (!err_is(err))
        acme_free(acme);
    return err;
}

void keeper_engine_free(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper->names[i]->order = NULL; /* they go with it */
    acme_free(keeper->acme);
    keeper->acme = NULL;
    alarm_stop(&keeper->engine);
}
