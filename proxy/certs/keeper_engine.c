#include "base/b64url.h"
#include "certs/keeper_internal.h"

/* ---- what an engine asks of us ---- */

static void issuer_wake_at(void *ctx, int64_t mono_ms)
{
    alarm_set(&((struct keeper_issuer *)ctx)->alarm, mono_ms);
}

static void issuer_rings(struct alarm *alarm)
{
    acme_wake(container_of(alarm, struct keeper_issuer, alarm)->acme);
}

static void issuer_publish(void *ctx, struct acme_publication *asked)
{
    keeper_publish_challenge(((struct keeper_issuer *)ctx)->keeper, asked);
}

static void issuer_withdraw(void *ctx, struct acme_publication *asked)
{
    keeper_withdraw_challenge(((struct keeper_issuer *)ctx)->keeper, asked);
}

/* Stateless answers have one thumbprint; the fallback's challenges are answered from the pending table alone. */
static void issuer_account_known(void *ctx, struct slice thumbprint)
{
    struct keeper_issuer *issuer = ctx;
    if (issuer->rank == ISSUER_FIRST)
        keeper_account_known(issuer->keeper, thumbprint);
}

static void issuer_make_key(void *ctx, enum key_type type, struct acme_key_job *job)
{
    key_maker_make(&((struct keeper_issuer *)ctx)->keeper->world.keys, type, job);
}

static void issuer_cancel_key(void *ctx, struct acme_key_job *job)
{
    (void)ctx;
    key_maker_cancel(job);
}

/* ---- of which configuration ---- */

struct slice config_directory_of(const struct config *config, enum issuer_rank rank)
{
    return rank == ISSUER_FIRST ? config->acme.directory : config->acme.fallback;
}

static const char *engine_mistake_variable(const struct config *config, enum issuer_rank rank)
{
    if (rank == ISSUER_FALLBACK)
        return config->acme.fallback_account_key.text.len ? "PORTICO_ACME_FALLBACK_ACCOUNT_KEY"
                                                          : "PORTICO_ACME_FALLBACK, _EMAIL or _FALLBACK_EAB_*";
    return config->acme.account_key.text.len ? "PORTICO_ACME_ACCOUNT_KEY" : "PORTICO_ACME_DIRECTORY, _EMAIL or _EAB_*";
}

static enum jws_mac mac_of(enum config_mac mac)
{
    switch (mac) {
    case CONFIG_HS256: break;
    case CONFIG_HS384: return JWS_HS384;
    case CONFIG_HS512: return JWS_HS512;
    }
    return JWS_HS256;
}

/* The HMAC key's text is the caller's to overwrite. */
static struct acme_options engine_options(const struct config *config, enum issuer_rank rank, struct buf *hmac_key)
{
    bool first = rank == ISSUER_FIRST;
    b64url_encode(hmac_key, first ? config->acme.eab_hmac_key : config->acme.fallback_eab_hmac_key);
    return (struct acme_options){.directory_url = config_directory_of(config, rank),
                                 .accept_terms = config->acme.accept_terms,
                                 .email = config->acme.email,
                                 .eab_kid = first ? config->acme.eab_kid : config->acme.fallback_eab_kid,
                                 .eab_hmac_key = buf_slice(hmac_key),
                                 .eab_mac = mac_of(first ? config->acme.eab_mac : config->acme.fallback_eab_mac),
                                 .account_key_pem =
                                     first ? config->acme.account_key.text : config->acme.fallback_account_key.text};
}

static struct err engine_make(const struct acme_world *world, const struct config *config, enum issuer_rank rank,
                              struct acme **out_acme, struct buf *out_mistake)
{
    struct buf hmac_key = {0};
    char text[160];
    struct acme_options options = engine_options(config, rank, &hmac_key);
    struct err err = acme_new(world, &options, out_acme);
    buf_cleanup_secret(&hmac_key);
    if (err_is(err))
        buf_printf(out_mistake, "%s: %s", engine_mistake_variable(config, rank), err_text(err, text, sizeof text));
    return err;
}

static void check_wake_at(void *ctx, int64_t mono_ms)
{
    (void)ctx, (void)mono_ms;
}

struct err keeper_engines_check(const struct keeper *keeper, const struct config *config, struct buf *out_mistake)
{
    struct acme_world world = {.clock = keeper->world.clock, .wake_at = check_wake_at}; /* never woken */
    struct err err = ERR_OK;
    for (enum issuer_rank rank = ISSUER_FIRST; rank < NUM_ISSUERS && !err_is(err); rank++) {
        struct acme *acme = NULL;
        if (config_directory_of(config, rank).len == 0)
            continue;
        err = engine_make(&world, config, rank, &acme, out_mistake);
        if (!err_is(err))
            acme_free(acme);
    }
    return err;
}

/* ---- life ---- */

struct acme_world keeper_engine_world(struct keeper_issuer *issuer)
{
    const struct keeper *keeper = issuer->keeper;
    struct acme_world world = {.transport = keeper->world.transport,
                               .store = keeper->world.store,
                               .clock = keeper->world.clock,
                               .log = keeper->world.log,
                               .ctx = issuer,
                               .wake_at = issuer_wake_at,
                               .publish = issuer_publish,
                               .withdraw = issuer_withdraw,
                               .account_known = issuer_account_known};
    if (keeper->world.keys.pool) {
        world.make_key = issuer_make_key;
        world.cancel_key = issuer_cancel_key;
    }
    return world;
}

static struct err issuer_begin(struct keeper_issuer *issuer, struct buf *out_mistake)
{
    struct acme_world world = keeper_engine_world(issuer);
    keeper_ledger_begin(issuer);
    if (issuer_directory(issuer).len == 0)
        return ERR_OK;
    return engine_make(&world, issuer->keeper->config, issuer->rank, &issuer->acme, out_mistake);
}

void keeper_issuer_init(struct keeper_issuer *issuer, struct keeper *keeper, enum issuer_rank rank)
{
    *issuer = (struct keeper_issuer){.keeper = keeper, .rank = rank};
    alarm_init(&issuer->alarm, keeper->world.loop, keeper->world.clock, issuer_rings);
}

void keeper_engines_init(struct keeper *keeper)
{
    for (enum issuer_rank rank = ISSUER_FIRST; rank < NUM_ISSUERS; rank++)
        keeper_issuer_init(&keeper->issuers[rank], keeper, rank);
}

struct err keeper_engines_new(struct keeper *keeper, struct buf *out_mistake)
{
    struct err err = ERR_OK;
    for (size_t i = 0; i < NUM_ISSUERS && !err_is(err); i++)
        err = issuer_begin(&keeper->issuers[i], out_mistake);
    if (err_is(err))
        keeper_engines_free(keeper);
    return err;
}

void keeper_engines_free(struct keeper *keeper)
{
    keeper_commands_engines_gone(keeper);
    keeper_ari_cancel_all(keeper);
    for (size_t i = 0; i < keeper->num_names; i++) { /* they go with it */
        keeper_ledger_close(keeper->names[i], NULL);
        keeper->names[i]->order = NULL;
    }
    for (size_t i = 0; i < NUM_ISSUERS; i++) {
        acme_free(keeper->issuers[i].acme);
        keeper->issuers[i].acme = NULL;
        alarm_stop(&keeper->issuers[i].alarm);
    }
}

struct keeper_issuer *keeper_issuer_of(struct keeper *keeper, struct slice directory_url)
{
    for (size_t i = 0; i < NUM_ISSUERS; i++)
        if (keeper->issuers[i].acme && slice_eq(issuer_directory(&keeper->issuers[i]), directory_url))
            return &keeper->issuers[i];
    return NULL;
}
