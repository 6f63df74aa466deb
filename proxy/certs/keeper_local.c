#include "certs/internal_ca.h"
#include "certs/keeper_internal.h"
#include "certs/placeholder.h"

enum { LOCAL_RETRY_MS = 60000 };

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
    bool same = name->cert && name->cert->source == source &&
                (source != CERT_INTERNAL || name->root_edition == name->keeper->root_edition);
    if (same && local_due_ms(name->cert, now_ms) > now_ms)
        return local_due_ms(name->cert, now_ms);
    struct err err = name_make_local(name, source, now_ms, &cert);
    if (err_is(err)) {
        keeper_log_failure(name->keeper, "local_certificate_failed", name->text, err,
                           "no certificate could be made for this name; it is tried again");
        return now_ms + LOCAL_RETRY_MS;
    }
    name->root_edition = name->keeper->root_edition;
    keeper_serve(name, cert, SLICE_NONE);
    if (source == CERT_INTERNAL)
        keeper_announce(name);
    name_log_local(name, !same);
    int64_t due_ms = local_due_ms(cert, now_ms);
    return due_ms > now_ms ? due_ms : now_ms + LOCAL_RETRY_MS; /* a root at its end */
}

int64_t keeper_local_look(struct keeper_name *name, int64_t now_ms)
{
    struct keeper *keeper = name->keeper;
    if (name->kind == NAME_OWN && own_certs_cover(keeper->own, name->text))
        return keeper_own_is_usable(name) ? keeper_own_look(name, now_ms)
                                          : name_serve_local(name, CERT_PLACEHOLDER, now_ms);
    if (name->kind == NAME_INTERNAL && keeper->root)
        return name_serve_local(name, CERT_INTERNAL, now_ms);
    if (name->second || name_is_covered_beside(name))
        return keeper_offer_look(name, now_ms);
    if (name->cert && name->cert->source != CERT_PLACEHOLDER)
        return keeper_offer_look(name, now_ms); /* also where it has expired: a placeholder would be no better */
    return name_serve_local(name, CERT_PLACEHOLDER, now_ms);
}
