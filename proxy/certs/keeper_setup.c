#include "base/url.h"
#include "certs/keeper_internal.h"

static const struct slice profile_of_addresses = {"shortlived", 10};

_Static_assert((int)CONFIG_CHALLENGE_HTTP_01 == ACME_HTTP_01 && (int)CONFIG_CHALLENGE_TLS_ALPN_01 == ACME_TLS_ALPN_01 &&
                   (int)CONFIG_CHALLENGE_DNS_01 == ACME_DNS_01 &&
                   (int)CONFIG_CHALLENGE_DNS_PERSIST_01 == ACME_DNS_PERSIST_01,
               "the configuration's challenges are the engine's");

enum key_type key_type_of_config(enum config_key_type type)
{
    switch (type) {
    case CONFIG_KEY_P256: return KEY_P256;
    case CONFIG_KEY_P384: return KEY_P384;
    case CONFIG_KEY_RSA2048: return KEY_RSA2048;
    case CONFIG_KEY_RSA4096: return KEY_RSA4096;
    }
    return KEY_P256;
}

/* ---- how a name is ordered ---- */

static void setup_put_challenges(const struct keeper_name *name, struct order_setup *setup)
{
    enum config_challenge able[NUM_CONFIG_CHALLENGES];
    struct config_name as = {.text = name->text,
                             .wildcard = slice_starts(name->text, SLICE_LIT("*.")),
                             .ip = name_is_ip(name->text),
                             .local = name->local};
    size_t num = config_challenges_for(name->keeper->config, &as, able);
    for (size_t i = 0; i < num; i++)
        setup->challenges[setup->num_challenges++] = (enum acme_challenge)able[i];
}

static void setup_put_profile(struct order_setup *setup, struct slice profile)
{
    for (size_t i = 0; i < setup->num_profiles; i++)
        if (slice_eq(setup->profiles[i], profile))
            return;
    setup->profiles[setup->num_profiles++] = profile;
}

static void setup_put_profiles(const struct keeper_name *name, struct order_setup *setup)
{
    const struct config *config = name->keeper->config;
    if (name_is_ip(name->text)) /* ACME-88 */
        setup_put_profile(setup, profile_of_addresses);
    for (size_t i = 0; i < config->acme.num_profiles; i++)
        setup_put_profile(setup, config->acme.profiles[i]);
}

/* ACME-47: what failed comes last. */
static void setup_avoid(struct order_setup *setup, struct slice failed)
{
    size_t num = setup->num_challenges, at = 0;
    while (at < num && !slice_eq(slice_str(acme_challenge_name(setup->challenges[at])), failed))
        at++;
    for (; at + 1 < num; at++) {
        enum acme_challenge next = setup->challenges[at + 1];
        setup->challenges[at + 1] = setup->challenges[at];
        setup->challenges[at] = next;
    }
}

void name_setup(const struct keeper_name *name, struct order_setup *out_setup)
{
    *out_setup = (struct order_setup){0};
    setup_put_challenges(name, out_setup);
    setup_put_profiles(name, out_setup);
    setup_avoid(out_setup, buf_slice(&name->state.failed_challenge));
}

static void setup_write_profiles(const struct keeper_name *name, struct buf *out)
{
    struct order_setup setup = {0};
    setup_put_profiles(name, &setup);
    for (size_t i = 0; i < setup.num_profiles; i++) {
        buf_append_str(out, i ? "," : "");
        buf_append_slice(out, setup.profiles[i]);
    }
}

static void setup_write_word(struct buf *out, struct slice word)
{
    buf_append_char(out, ' ');
    buf_append_slice(out, word);
}

void name_wishes_write(const struct keeper_name *name, struct buf *out)
{
    const struct config *config = name->keeper->config;
    buf_append_str(out, key_type_name(name->key_type));
    buf_append_char(out, ';');
    setup_write_profiles(name, out);
    buf_append_char(out, ';');
    setup_write_word(out, config_directory_of(config, ISSUER_FIRST));
    setup_write_word(out, config_directory_of(config, ISSUER_FALLBACK));
}

void name_setup_write(const struct keeper_name *name, struct buf *out)
{
    const struct config *config = name->keeper->config;
    struct order_setup setup = {0};
    buf_append_str(out, key_type_name(name->key_type));
    setup_put_challenges(name, &setup);
    for (size_t i = 0; i < setup.num_challenges; i++)
        setup_write_word(out, slice_str(acme_challenge_name(setup.challenges[i])));
    buf_append_char(out, ';');
    setup_write_profiles(name, out);
    buf_append_char(out, ';');
    setup_write_word(out, config->acme.email);
    setup_write_word(out, config->acme.eab_kid);
    setup_write_word(out, config->acme.fallback_eab_kid);
    setup_write_word(out, config->acme.fallback);
    buf_append_str(out, config->acme.accept_terms ? " terms" : "");
}

/* ---- whether a certificate is what would be ordered ---- */

static bool name_has_wanted_profile(const struct keeper_name *name)
{
    struct slice profile = buf_slice(&name->profile);
    struct order_setup setup = {0};
    setup_put_profiles(name, &setup);
    for (size_t i = 0; i < setup.num_profiles; i++)
        if (slice_eq(setup.profiles[i], profile))
            return true;
    return profile.len == 0 && setup.num_profiles == 0;
}

/* One that was ordered by the same wishes is as near to them as the CA came: to order again would bring no other. */
static bool name_was_ordered_so(const struct keeper_name *name)
{
    struct buf wishes = {0};
    if (!slice_eq(buf_slice(&name->state.serial), slice_str(name->cert->serial)))
        return false;
    name_wishes_write(name, &wishes);
    bool same = slice_eq(buf_slice(&wishes), buf_slice(&name->state.ordered_by));
    buf_cleanup(&wishes);
    return same;
}

bool name_suits_config(const struct keeper_name *name)
{
    const struct config *config = name->keeper->config;
    struct slice directory_url = buf_slice(&name->directory_url);
    bool from_first = slice_eq(directory_url, config_directory_of(config, ISSUER_FIRST));
    bool from_fallback =
        directory_url.len != 0 && slice_eq(directory_url, config_directory_of(config, ISSUER_FALLBACK));
    bool is_wanted = name->cert_key_type == name->key_type && name_has_wanted_profile(name);
    return (from_first || from_fallback) && (is_wanted || name_was_ordered_so(name));
}
