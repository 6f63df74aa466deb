#include "certs/zone.h"

#include "acme/challenge.h"
#include "certs/caa.h"
#include "certs/persist.h"

static struct slice without_wildcard(const struct config_name *name)
{
    return name->wildcard ? slice_skip(name->text, 2) : name->text;
}

static bool write_methods(const struct config *config, const struct config_name *name, struct buf *out)
{
    enum config_challenge challenges[NUM_CONFIG_CHALLENGES];
    size_t num = config_challenges_for(config, name, challenges);
    bool persist = false;
    for (size_t i = 0; i < num; i++) {
        buf_append_str(out, i ? "," : "");
        buf_append_str(out, acme_challenge_name((enum acme_challenge)challenges[i]));
        persist = persist || challenges[i] == CONFIG_CHALLENGE_DNS_PERSIST_01;
    }
    return persist;
}

void zone_write_caa(const struct config *config, const struct config_name *name, const struct zone_issuer *issuers,
                    size_t num_issuers, struct buf *out)
{
    struct slice owner = without_wildcard(name);
    struct buf methods = {0};
    write_methods(config, name, &methods);
    for (size_t i = 0; i < num_issuers; i++) {
        if (issuers[i].identity.len == 0)
            continue;
        buf_append_slice(out, owner);
        buf_append_str(out, name->wildcard ? ". IN CAA 0 issuewild \"" : ". IN CAA 0 issue \"");
        caa_write_value(out, issuers[i].identity, issuers[i].account.url, buf_slice(&methods));
        buf_append_str(out, "\"\n");
    }
    buf_cleanup(&methods);
}

void zone_write_persist(const struct config *config, const struct config_name *name, const struct zone_issuer *issuers,
                        size_t num_issuers, struct buf *out)
{
    struct buf methods = {0};
    bool wanted = write_methods(config, name, &methods);
    for (size_t i = 0; i < num_issuers && wanted; i++) {
        if (issuers[i].account.url.len == 0 || issuers[i].issuer_name.len == 0)
            continue;
        persist_write_record(name->text, issuers[i].issuer_name, &issuers[i].account, out);
        buf_append_char(out, '\n');
    }
    buf_cleanup(&methods);
}
