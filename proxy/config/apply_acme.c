/* The rows about certificates: directory, contact, external account binding, PEM. */
#include "config/apply.h"

#include "base/b64url.h"
#include "base/mem.h"
#include "base/url.h"

static struct slice *slice_field(struct build *build, enum row row)
{
    return (struct slice *)(void *)((char *)build->config + config_rows[row].field);
}

struct shortcut {
    const char *name;
    const char *url;
};

static const struct shortcut shortcuts[] = {
    {"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
    {"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
    {"zerossl", "https://acme.zerossl.com/v2/DV90"},
    {"google", "https://dv.acme-v02.api.pki.goog/directory"},
    {NULL, NULL},
};

/* CAs whose roots browsers know, and their staging systems: none of them signs a local name. A host below one of
 * these counts as well. */
static const char *const public_ca_hosts[] = {
    "letsencrypt.org",
    "zerossl.com",
    "pki.goog",
    "ssl.com",
    "buypass.com",
    "buypass.no",
    "atlas.globalsign.com",
    "digicert.com",
    "sectigo.com",
    "actalis.com",
    "entrust.net",
    "trust-provider.com",
    "certum.pl",
    "harica.gr",
    "swisssign.com",
    NULL,
};

static bool host_is_public_ca(struct slice host)
{
    for (const char *const *known = public_ca_hosts; *known; known++) {
        struct slice suffix = slice_str(*known);
        if (host.len < suffix.len)
            continue;
        struct slice end = slice_skip(host, host.len - suffix.len);
        if (slice_ieq(end, suffix) && (end.ptr == host.ptr || end.ptr[-1] == '.'))
            return true;
    }
    return false;
}

struct slice config_staging_of(struct slice directory)
{
    const struct slice production = slice_str(shortcuts[0].url), staging = slice_str(shortcuts[1].url);
    return slice_eq(directory, production) || slice_eq(directory, staging) ? staging : SLICE_NONE;
}

static struct slice directory_of_shortcut(struct slice text)
{
    for (const struct shortcut *shortcut = shortcuts; shortcut->name; shortcut++)
        if (slice_ieq(text, slice_str(shortcut->name)))
            return slice_str(shortcut->url);
    return text;
}

static const char *directory_url(struct build *build, struct slice text, const char *otherwise, struct slice *out_url,
                                 enum config_directory_kind *out_kind)
{
    struct url url;
    text = directory_of_shortcut(text);
    if (err_is(url_parse(text, &url)))
        return otherwise;
    if (!url.https)
        return "is not an https URL: ACME is spoken over TLS alone (RFC 8555 §6.1)";
    *out_url = arena_copy(&build->config->arena, text);
    *out_kind = host_is_public_ca(url.host) ? CONFIG_DIRECTORY_PUBLIC : CONFIG_DIRECTORY_PRIVATE;
    return NULL;
}

void apply_directory(struct build *build, enum row row, struct slice text)
{
    build->config->acme.directory = SLICE_LIT("");
    if (slice_ieq(text, SLICE_LIT("internal"))) {
        build->config->acme.kind = CONFIG_DIRECTORY_INTERNAL;
        return;
    }
    const char *why = directory_url(
        build, text, "is neither a URL nor one of letsencrypt, letsencrypt-staging, zerossl, google, internal",
        &build->config->acme.directory, &build->config->acme.kind);
    if (why)
        build_mistake(build, row, text, why);
}

/* A CA of one's own has no twin that browsers know, and the other way round. */
void apply_fallback(struct build *build, enum row row, struct slice text)
{
    enum config_directory_kind kind = CONFIG_DIRECTORY_PUBLIC;
    const char *why =
        directory_url(build, text, "is neither a URL nor one of letsencrypt, letsencrypt-staging, zerossl, google",
                      &build->config->acme.fallback, &kind);
    if (!why && kind != CONFIG_DIRECTORY_PUBLIC)
        why = "is no public CA that is known here, and the fallback is one that browsers trust";
    if (why)
        build_mistake(build, row, text, why);
}

static bool all_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return text.len > 0;
}

/* One address without header fields (RFC 8555 §7.3). */
static const char *email_refusal(struct slice text)
{
    struct slice domain = text, local = slice_split(&domain, '@');
    if (slice_starts(text, SLICE_LIT("mailto:")))
        return "begins with mailto:, which is added by itself";
    if (memchr(text.ptr, ',', text.len) || (domain.len && memchr(domain.ptr, '@', domain.len)))
        return "is more than one address";
    if (!all_visible(text) || !local.len || !domain.len || memchr(text.ptr, '?', text.len))
        return "is no mail address";
    if (!name_is_dns(domain, false))
        return "has no host name behind its @";
    return NULL;
}

void apply_email(struct build *build, enum row row, struct slice text)
{
    const char *why = email_refusal(text);
    if (why)
        build_mistake(build, row, text, why);
    build->config->acme.email = arena_copy(&build->config->arena, text);
}

void apply_eab_kid(struct build *build, enum row row, struct slice text)
{
    if (!all_visible(text))
        build_mistake(build, row, text, "holds a blank or another character that no key identifier has");
    *slice_field(build, row) = arena_copy(&build->config->arena, text);
}

/* `HS512:` in front of the key, where the CA wants another algorithm than nearly all do. */
static enum config_mac take_mac(struct slice *text)
{
    static const struct {
        struct slice prefix;
        enum config_mac mac;
    } rows[] = {
        {SLICE_LIT("HS256:"), CONFIG_HS256}, {SLICE_LIT("HS384:"), CONFIG_HS384}, {SLICE_LIT("HS512:"), CONFIG_HS512}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (slice_starts(*text, rows[i].prefix)) {
            *text = slice_skip(*text, rows[i].prefix.len);
            return rows[i].mac;
        }
    return CONFIG_HS256;
}

/* base64url without padding is the rule; some CAs show the key in the ordinary alphabet, or padded. */
void apply_eab_hmac_key(struct build *build, enum row row, struct slice text)
{
    struct buf key = {0};
    bool first = row == ROW_ACME_EAB_HMAC_KEY;
    *(first ? &build->config->acme.eab_mac : &build->config->acme.fallback_eab_mac) = take_mac(&text);
    if (b64url_decode(&key, text) || b64_decode(&key, text))
        *slice_field(build, row) = slice_make(mem_dup(key.ptr, key.len), key.len);
    else
        build_mistake(build, row, text, "is not base64url");
    buf_cleanup_secret(&key);
}

static struct config_pem *pem_field(struct build *build, enum row row)
{
    return (struct config_pem *)(void *)((char *)build->config + config_rows[row].field);
}

static void apply_pem(struct build *build, enum row row, struct slice text, const char *label)
{
    struct config_pem *pem = pem_field(build, row);
    const char *why = parse_pem(text, label);
    if (why) {
        build_mistake(build, row, text, why);
        return;
    }
    pem->text = slice_make(mem_dup(text.ptr, text.len), text.len); /* not in the arena: overwritten when freed */
    pem->path = build->config->values[row].path;
}

void apply_pem_certificates(struct build *build, enum row row, struct slice text)
{
    apply_pem(build, row, text, "CERTIFICATE");
}

void apply_pem_key(struct build *build, enum row row, struct slice text)
{
    apply_pem(build, row, text, "PRIVATE KEY");
}
