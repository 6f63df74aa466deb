#include "certs/internal_ca.h"
#include "certs/keeper_internal.h"
#include "certs/placeholder.h"

enum {
    LOCAL_RETRY_MS = 60000,
    OWN_LOOK_MS = 24 * 3600 * 1000,
    OWN_WARN_S = 7 * 24 * 3600 /* left of a certificate that only the user can renew */
};

/* ---- certificates of our own making ---- */

static struct err name_make_local(const struct keeper_name *name, enum cert_source source, int64_t now_ms,
                                  struct cert **out_cert)
{
    struct x509_made made;
    struct err err = source == CERT_INTERNAL
                         ? internal_ca_issue(name->keeper->root, &name->text, 1, now_ms / 1000, &made)
                         : placeholder_make(&name->text, 1, now_ms / 1000, &made);
    if (err_is(err))
        return err;
    err = x509_made_cert(&made, source, out_cert);
    x509_made_cleanup(&made);
    return err;
}

/* Two thirds of its time; 0 where the clock stands before its beginning. */
static int64_t local_due_ms(const struct cert *cert, int64_t now_ms)
{
    int64_t lifetime_s = cert->not_after_s - cert->not_before_s;
    return now_ms < cert->not_before_s * 1000 ? 0 : (cert->not_before_s + lifetime_s * 2 / 3) * 1000;
}

static void name_log_local(const struct keeper_name *name, bool first)
{
    char not_after[CLOCK_TEXT_BYTES];
    struct log_ring *log = name->keeper->world.log;
    const char *until = clock_rfc3339(name->cert->not_after_s * 1000, not_after);
    if (name->cert->source == CERT_INTERNAL)
        LOG_INFO_EVENT(log, "certificate_obtained", LOG_SLICE("name", name->text),
                       LOG_STR("serial", name->cert->serial), LOG_STR("issuer", name->cert->issuer),
                       LOG_STR("not_after", until));
    else if (first)
        LOG_WARN_EVENT(log, "placeholder_served", LOG_SLICE("name", name->text),
                       LOG_STR("msg", name->kind == NAME_ACME
                                          ? "it has no certificate yet: clients will not trust it until it is issued"
                                          : "there is no certificate for it: clients will not trust it"));
}

/* Serves the name with a fresh certificate of that source unless it has one that is good for a while. */
static int64_t name_serve_local(struct keeper_name *name, enum cert_source source, int64_t now_ms)
{
    struct cert *cert = NULL;
    bool same = name->cert && name->cert->source == source;
    if (same && local_due_ms(name->cert, now_ms) > now_ms)
        return local_due_ms(name->cert, now_ms);
    struct err err = name_make_local(name, source, now_ms, &cert);
    if (err_is(err)) {
        keeper_log_failure(name->keeper, "local_certificate_failed", name->text, err,
                           "no certificate could be made for this name; it is tried again");
        return now_ms + LOCAL_RETRY_MS;
    }
    keeper_serve(name, cert, SLICE_NONE);
    if (source == CERT_INTERNAL)
        keeper_announce(name);
    name_log_local(name, !same);
    int64_t due_ms = local_due_ms(cert, now_ms);
    return due_ms > now_ms ? due_ms : now_ms + LOCAL_RETRY_MS; /* a root at its end */
}

/* ---- TLS_CERT ---- */

static int64_t name_serve_own(struct keeper_name *name, int64_t now_ms)
{
    struct keeper *keeper = name->keeper;
    char not_after[CLOCK_TEXT_BYTES];
    struct cert *own = keeper->own;
    clock_rfc3339(own->not_after_s * 1000, not_after);
    if (name->cert != own) {
        keeper_serve(name, cert_ref(own), SLICE_NONE);
        LOG_INFO_EVENT(keeper->world.log, "certificate_loaded", LOG_SLICE("name", name->text),
                       LOG_STR("serial", own->serial), LOG_STR("issuer", own->issuer), LOG_STR("not_after", not_after),
                       LOG_STR("source", "PORTICO_TLS_CERT"));
    }
    if (own->not_after_s - now_ms / 1000 < OWN_WARN_S)
        LOG_WARN_EVENT(keeper->world.log, "own_certificate_ends", LOG_SLICE("name", name->text),
                       LOG_STR("not_after", not_after),
                       LOG_STR("msg", "the certificate of PORTICO_TLS_CERT has expired or soon will: replace it"));
    return now_ms + OWN_LOOK_MS;
}

int64_t keeper_local_look(struct keeper_name *name, int64_t now_ms)
{
    struct keeper *keeper = name->keeper;
    if (name->kind == NAME_OWN && keeper->own && cert_covers(keeper->own, name->text))
        return name_serve_own(name, now_ms);
    if (name->kind == NAME_INTERNAL && keeper->root)
        return name_serve_local(name, CERT_INTERNAL, now_ms);
    if (name->second || name_is_covered_beside(name))
        return INT64_MAX;
    if (name->cert && name->cert->source != CERT_PLACEHOLDER)
        return INT64_MAX; /* also where it has expired: a placeholder would be no better */
    return name_serve_local(name, CERT_PLACEHOLDER, now_ms);
}

/* ---- the local root ---- */

static void root_say(struct keeper *keeper, const char *event)
{
    LOG_INFO_EVENT(keeper->world.log, event, LOG_SLICE("name", internal_ca_name(keeper->root)),
                   LOG_SLICE("sha256", internal_ca_fingerprint(keeper->root)));
}

static void root_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                        size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, root_call);
    (void)records, (void)num_records;
    keeper->root_busy = false;
    if (result == STORE_OK) {
        keeper->root = keeper->new_root;
        keeper->root_absent = false;
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
    struct err err = ERR_OK;
    keeper->root_absent = result == STORE_NOT_FOUND;
    if (keeper->root || keeper->root_busy)
        return;
    if (result == STORE_OK)
        err = internal_ca_read(value, &keeper->root);
    if (result == STORE_OK && !err_is(err))
        root_say(keeper, "local_root_loaded");
    else if (keeper->root_absent && keeper->writer && !keeper->stopped)
        root_make(keeper);
    else if (!keeper->root_absent) /* people trust the old one: it is never made anew while it cannot be read */
        LOG_ERROR_EVENT(keeper->world.log, "local_root_unreadable", LOG_STR("result", store_result_text(result)),
                        LOG_ERR("error", err),
                        LOG_STR("msg", "names of the local CA are served with placeholders: restore the record "
                                       "internal-ca, or remove it to have a new root made"));
}

void keeper_root_free(struct keeper *keeper)
{
    if (keeper->root_busy)
        keeper->world.store->ops->cancel(keeper->world.store, &keeper->root_call);
    internal_ca_free(keeper->root);
    internal_ca_free(keeper->new_root);
    keeper->root = keeper->new_root = NULL;
}
