#include "certs/internal_ca.h"
#include "certs/keeper_internal.h"

/* Takes it over; leaves of another one are made anew when their names are looked at. */
static void root_set(struct keeper *keeper, struct internal_ca *root)
{
    internal_ca_free(keeper->root);
    keeper->root = root;
    keeper->root_edition++;
}

static void root_say(struct keeper *keeper, const char *event)
{
    LOG_INFO_EVENT(keeper->world.log, event, LOG_SLICE("name", internal_ca_name(keeper->root)),
                   LOG_SLICE("sha256", internal_ca_fingerprint(keeper->root)),
                   LOG_STR("source", keeper->root_given ? "PORTICO_INTERNAL_CA" : "storage"));
}

/* ---- that of the store ---- */

static void root_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                        size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, root_call);
    (void)records, (void)num_records;
    keeper->root_busy = false;
    keeper->root_absent = keeper->root_absent && result != STORE_OK;
    if (keeper->root_given) { /* meanwhile: the one in the store waits for when that is taken away */
        internal_ca_free(keeper->new_root);
    } else if (result == STORE_OK) {
        root_set(keeper, keeper->new_root);
        root_say(keeper, "local_root_made");
    } else {
        internal_ca_free(keeper->new_root); /* one that a restart would lose must not be trusted by anybody */
        LOG_ERROR_EVENT(keeper->world.log, "local_root_not_stored", LOG_STR("result", store_result_text(result)),
                        LOG_STR("msg", "names of the local CA are served with placeholders until its root is stored"));
        tick_start(&keeper->world.loop->ticker, &keeper->reload, KEEPER_RELOAD_MS);
    }
    keeper->new_root = NULL;
    keeper_root_settled(keeper);
}

/* A record that is not there, and nobody else who could write one: we hold the lock. */
static void root_make(struct keeper *keeper)
{
    struct buf record = {0};
    struct err err = internal_ca_new(keeper_wall_ms(keeper) / 1000, &keeper->new_root);
    if (err_is(err)) {
        keeper_log_failure(keeper, "local_root_failed", SLICE_LIT("internal-ca"), err,
                           "the local root could not be made: names of the local CA are served with placeholders");
        return;
    }
    internal_ca_write(keeper->new_root, &record);
    struct store_write write = {
        .key = SLICE_LIT("internal-ca"), .value = buf_slice(&record), .condition = STORE_ABSENT};
    keeper->root_busy = true;
    keeper->root_call.done = root_stored;
    keeper->world.store->ops->commit(keeper->world.store, &write, 1, &keeper->root_call);
    buf_cleanup_secret(&record);
}

void keeper_root_loaded(struct keeper *keeper, enum store_result result, struct slice value)
{
    struct internal_ca *root = NULL;
    struct err err = ERR_OK;
    keeper->root_absent = result == STORE_NOT_FOUND;
    if (keeper->root || keeper->root_busy)
        return;
    if (result == STORE_OK)
        err = internal_ca_read(value, &root);
    if (root) {
        root_set(keeper, root);
        root_say(keeper, "local_root_loaded");
    } else if (keeper->root_absent && keeper->writer && !keeper->stopped) {
        root_make(keeper);
    } else if (!keeper->root_absent) { /* people trust the old one: it is never made anew while it cannot be read */
        LOG_ERROR_EVENT(keeper->world.log, "local_root_unreadable", LOG_STR("result", store_result_text(result)),
                        LOG_ERR("error", err),
                        LOG_STR("msg", "names of the local CA are served with placeholders: restore the record "
                                       "internal-ca, or remove it to have a new root made"));
    }
}

/* ---- INTERNAL_CA ---- */

static const char *root_of_pem(const struct config *config, int64_t now_s, struct internal_ca **out_root)
{
    struct internal_ca *root = NULL;
    struct err err = internal_ca_of_pem(config->internal_ca.cert.text, config->internal_ca.key.text, &root);
    if (err_is(err))
        return err.what;
    if (now_s >= internal_ca_not_after_s(root)) {
        internal_ca_free(root);
        return "the certificate has expired";
    }
    *out_root = root;
    return NULL;
}

struct err keeper_root_of(const struct config *config, int64_t now_s, struct internal_ca **out_root,
                          struct buf *out_mistake)
{
    *out_root = NULL;
    if (config->internal_ca.cert.text.len == 0)
        return ERR_OK;
    const char *why = root_of_pem(config, now_s, out_root);
    if (!why)
        return ERR_OK;
    buf_printf(out_mistake,
               "PORTICO_INTERNAL_CA: %s; it takes one self-signed certificate of a CA, and PORTICO_INTERNAL_CA_KEY its "
               "private key, both in PEM",
               why);
    return err_make(ERR_INPUT, 0, "PORTICO_INTERNAL_CA");
}

bool keeper_root_same(const struct config *a, const struct config *b)
{
    return slice_eq(a->internal_ca.cert.text, b->internal_ca.cert.text) &&
           slice_eq(a->internal_ca.key.text, b->internal_ca.key.text);
}

void keeper_root_replace(struct keeper *keeper, struct internal_ca *root)
{
    root_set(keeper, root);
    keeper->root_given = root != NULL;
    keeper->root_absent = false;
    if (root)
        root_say(keeper, "local_root_loaded");
}

/* ---- life ---- */

void keeper_root_free(struct keeper *keeper)
{
    if (keeper->root_busy)
        keeper->world.store->ops->cancel(keeper->world.store, &keeper->root_call);
    internal_ca_free(keeper->root);
    internal_ca_free(keeper->new_root);
    keeper->root = keeper->new_root = NULL;
}
