#include "certs/keeper_internal.h"

enum {
    OWN_LOOK_MS = 24 * 3600 * 1000,
    OWN_WARN_S = 7 * 24 * 3600 /* left of a certificate that only the user can renew */
};

/* NULL: none whose key may be used. */
static const struct own_cert *own_of(const struct keeper_name *name)
{
    const struct keeper *keeper = name->keeper;
    int64_t now_s = keeper_wall_ms(keeper) / 1000;
    const struct own_cert *own = own_certs_find(keeper->own, name->text, now_s);
    if (own && keeper_cert_is_banned(keeper, own->cert))
        own = own_certs_find_beside(keeper->own, own, name->text, now_s);
    return own && !keeper_cert_is_banned(keeper, own->cert) ? own : NULL;
}

bool keeper_own_is_usable(const struct keeper_name *name)
{
    if (own_of(name))
        return true;
    if (!name->cert || name->cert->source != CERT_PLACEHOLDER)
        LOG_ERROR_EVENT(name->keeper->world.log, "own_certificate_disclosed", LOG_SLICE("name", name->text),
                        LOG_STR("msg",
                                "the key of this certificate of your own was revoked as disclosed and is not used "
                                "again: make another key, and have a certificate issued for it"));
    return false;
}

struct cert *keeper_own_beside(const struct keeper_name *name)
{
    const struct keeper *keeper = name->keeper;
    const struct own_cert *first = name->kind == NAME_OWN ? own_of(name) : NULL;
    const struct own_cert *beside =
        first ? own_certs_find_beside(keeper->own, first, name->text, keeper_wall_ms(keeper) / 1000) : NULL;
    return beside && !keeper_cert_is_banned(keeper, beside->cert) ? beside->cert : NULL;
}

int64_t keeper_own_look(struct keeper_name *name, int64_t now_ms)
{
    struct keeper *keeper = name->keeper;
    const struct own_cert *own = own_of(name);
    char not_after[CLOCK_TEXT_BYTES];
    const struct cert *beside = keeper_own_beside(name);
    uint64_t beside_id = beside ? beside->id : 0;
    clock_rfc3339(own->cert->not_after_s * 1000, not_after);
    if (name->cert != own->cert) {
        keeper_serve(name, cert_ref(own->cert), SLICE_NONE);
        LOG_INFO_EVENT(keeper->world.log, "certificate_loaded", LOG_SLICE("name", name->text),
                       LOG_STR("serial", own->cert->serial), LOG_STR("issuer", own->cert->issuer),
                       LOG_STR("not_after", not_after), LOG_SLICE("source", own->source));
    } else if (name->beside_id != beside_id) {
        keeper_offer(name);
    }
    name->beside_id = beside_id;
    if (own->cert->not_after_s - now_ms / 1000 < OWN_WARN_S)
        LOG_WARN_EVENT(keeper->world.log, "own_certificate_ends", LOG_SLICE("name", name->text),
                       LOG_SLICE("source", own->source), LOG_STR("not_after", not_after),
                       LOG_STR("msg", "this certificate of your own has expired or soon will: replace it"));
    int64_t change_s = own_certs_change_s(keeper->own, name->text, now_ms / 1000);
    bool soon = change_s < (now_ms + OWN_LOOK_MS) / 1000;
    return soon ? change_s * 1000 : now_ms + OWN_LOOK_MS;
}
