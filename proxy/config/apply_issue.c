/* The rows about how certificates are issued: challenges, profiles, key types, who is asked; and the key of the store. */
#include "config/apply.h"

#include "base/b64url.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/url.h"
#include "base/utf8.h"

static struct slice *slice_field(struct build *build, enum row row)
{
    return (struct slice *)(void *)((char *)build->config + config_rows[row].field);
}

/* ---- lists ---- */

static const struct parse_choice challenges[] = {{"http-01", CONFIG_CHALLENGE_HTTP_01},
                                                 {"tls-alpn-01", CONFIG_CHALLENGE_TLS_ALPN_01},
                                                 {"dns-01", CONFIG_CHALLENGE_DNS_01},
                                                 {"dns-persist-01", CONFIG_CHALLENGE_DNS_PERSIST_01},
                                                 {NULL, 0}};

static const struct parse_choice key_types[] = {{"p256", CONFIG_KEY_P256},
                                                {"p384", CONFIG_KEY_P384},
                                                {"rsa2048", CONFIG_KEY_RSA2048},
                                                {"rsa4096", CONFIG_KEY_RSA4096},
                                                {NULL, 0}};

/* Adds each item of a list; says what is wrong with it, and where there is none. */
static void apply_list(struct build *build, enum row row, struct slice text,
                       const char *(*add)(struct config *config, struct slice item))
{
    struct slice rest = text, item;
    bool any = false;
    while (parse_list_next(&rest, &item)) {
        const char *why = add(build->config, item);
        any = true;
        if (why)
            build_mistake(build, row, item, why);
    }
    if (!any)
        build_mistake(build, row, text, "holds separators alone");
}

static const char *challenge_add(struct config *config, struct slice item)
{
    int challenge;
    if (!parse_choice(item, challenges, &challenge))
        return "is none of http-01, tls-alpn-01, dns-01, dns-persist-01";
    for (size_t i = 0; i < config->acme.num_challenges; i++)
        if (config->acme.challenges[i] == (enum config_challenge)challenge)
            return "stands twice";
    config->acme.challenges[config->acme.num_challenges++] = (enum config_challenge)challenge;
    return NULL;
}

void apply_challenges(struct build *build, enum row row, struct slice text)
{
    apply_list(build, row, text, challenge_add);
}

static bool is_rsa(enum config_key_type type)
{
    return type == CONFIG_KEY_RSA2048 || type == CONFIG_KEY_RSA4096;
}

static const char *key_type_add(struct config *config, struct slice item)
{
    int type;
    if (!parse_choice(item, key_types, &type))
        return "is none of p256, p384, rsa2048, rsa4096";
    for (size_t i = 0; i < config->acme.num_key_types; i++)
        if (is_rsa(config->acme.key_types[i]) == is_rsa((enum config_key_type)type))
            return "is a second key of its kind: a client chooses between one ECDSA and one RSA key at the most";
    config->acme.key_types[config->acme.num_key_types++] = (enum config_key_type)type;
    return NULL;
}

void apply_key_types(struct build *build, enum row row, struct slice text)
{
    apply_list(build, row, text, key_type_add);
}

static const char *profile_add(struct config *config, struct slice item)
{
    if (item.len > LIMIT_PROFILE_BYTES)
        return "is longer than 64 characters";
    for (size_t i = 0; i < item.len; i++)
        if (item.ptr[i] <= ' ' || item.ptr[i] > '~')
            return "holds a blank or another character that no profile's name has";
    for (size_t i = 0; i < config->acme.num_profiles; i++)
        if (slice_eq(config->acme.profiles[i], item))
            return "stands twice";
    if (config->acme.num_profiles == LIMIT_PROFILES)
        return "is the ninth: eight profiles will do";
    if (!config->acme.profiles)
        config->acme.profiles = arena_calloc(&config->arena, LIMIT_PROFILES, sizeof(struct slice));
    config->acme.profiles[config->acme.num_profiles++] = arena_copy(&config->arena, item);
    return NULL;
}

void apply_profiles(struct build *build, enum row row, struct slice text)
{
    apply_list(build, row, text, profile_add);
}

/* ---- who is asked ---- */

void apply_dns_hook(struct build *build, enum row row, struct slice text)
{
    struct url url;
    struct arena *arena = &build->config->arena;
    struct buf rest = {0};
    struct slice userinfo = url_take_userinfo(text, &rest); /* a password: not to be shown */
    bool path = text.ptr[0] == '/' && !memchr(text.ptr, '\n', text.len);
    *slice_field(build, row) = arena_copy(arena, text);
    if (!path && err_is(url_parse(buf_slice(&rest), &url)))
        build_mistake(build, row, text, "is neither the absolute path of a program nor an http or https URL");
    else if (!path && userinfo.len)
        build->config->values[row].text =
            arena_printf(arena, "%s://***@%.*s%.*s", url.https ? "https" : "http", (int)url.authority.len,
                         url.authority.ptr, (int)url.target.len, url.target.ptr);
    buf_cleanup(&rest);
}

void apply_ask_url(struct build *build, enum row row, struct slice text)
{
    struct url url;
    *slice_field(build, row) = SLICE_LIT("");
    if (slice_ieq(text, SLICE_LIT("off")))
        return;
    if (err_is(url_parse(text, &url)))
        build_mistake(build, row, text, "is neither off nor an http or https URL");
    else
        *slice_field(build, row) = arena_copy(&build->config->arena, text);
}

void apply_line(struct build *build, enum row row, struct slice text)
{
    if (text.len > LIMIT_LINE_BYTES)
        build_mistake(build, row, text, "is longer than 256 bytes");
    for (size_t i = 0, len; i < text.len && !build_failed(build, row); i += len)
        if (!(len = utf8_char_len(slice_skip(text, i))) || (unsigned char)text.ptr[i] < ' ')
            build_mistake(build, row, text, "is not one line of UTF-8");
    *slice_field(build, row) = arena_copy(&build->config->arena, text);
}

/* ---- the key of the store ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = slice_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_decode(struct buf *out, struct slice text)
{
    if (text.len / 2 != CONFIG_STORAGE_KEY_BYTES || text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0) {
            out->len = 0;
            return false;
        }
        buf_append_char(out, (char)(high << 4 | low));
    }
    return true;
}

/* Nobody draws so few different bytes: it is a placeholder, or a password that was stretched to fit. */
static bool is_random(struct slice key)
{
    bool seen[256] = {false};
    size_t num = 0;
    for (size_t i = 0; i < key.len; i++) {
        num += !seen[(unsigned char)key.ptr[i]];
        seen[(unsigned char)key.ptr[i]] = true;
    }
    return num > CONFIG_STORAGE_KEY_BYTES / 2;
}

static const char *storage_key_refusal(const struct buf *key)
{
    if (key->len != CONFIG_STORAGE_KEY_BYTES)
        return "is not 32 bytes in hex, base64 or base64url; `openssl rand -hex 32` makes a good one";
    return is_random(buf_slice(key)) ? NULL : "is not random; `openssl rand -hex 32` makes a good one";
}

void apply_storage_key(struct build *build, enum row row, struct slice text)
{
    struct buf key = {0};
    if (!hex_decode(&key, text) && !b64url_decode(&key, text) && !b64_decode(&key, text))
        key.len = 0;
    const char *why = storage_key_refusal(&key);
    if (why)
        build_mistake(build, row, text, why);
    else
        build->config->storage_key = slice_make(mem_dup(key.ptr, key.len), key.len);
    buf_cleanup_secret(&key);
}
