/* ALLOW_IPS, BASIC_AUTH, COMPRESS and UPSTREAM_HEALTH, separated by NULs: whatever they hold, a configuration loads or
 * says why without a password's hash, and what loaded is as config.h promises. */
#include "base/buf.h"
#include "base/utf8.h"
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define REQUIRE(cond)                                                  \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

enum { NUM_VARIABLES = 4 };
static const char *const variables[NUM_VARIABLES] = {"ALLOW_IPS", "BASIC_AUTH", "COMPRESS", "UPSTREAM_HEALTH"};

static void check_mistakes(const struct config_mistakes *mistakes)
{
    struct buf text = {0};
    REQUIRE(mistakes->num > 0);
    config_mistakes_print(mistakes, &text);
    for (struct slice rest = buf_slice(&text); rest.len;) { /* whatever was given: what a terminal can show */
        size_t len = rest.ptr[0] == '\n' ? 1 : utf8_visible_len(rest);
        REQUIRE(len > 0);
        rest = slice_skip(rest, len);
    }
    for (size_t i = 0; i < mistakes->num; i++)
        if (strcmp(mistakes->items[i].variable, "PORTICO_BASIC_AUTH") == 0)
            REQUIRE(!mistakes->items[i].value || strncmp(mistakes->items[i].value, "(secret, ", 9) == 0);
    buf_cleanup(&text);
}

static void check_config(const struct config *config)
{
    for (size_t i = 0; i < config->policy.num_users; i++) {
        const struct config_user *user = &config->policy.users[i];
        REQUIRE(user->name.len > 0 && strlen(user->name.ptr) == user->name.len && !strchr(user->name.ptr, ':'));
        REQUIRE(user->hash.len == 60 && strlen(user->hash.ptr) == 60 && user->hash.ptr[0] == '$');
    }
    for (size_t i = 0; i < config->policy.allow_ips.num; i++)
        REQUIRE(cidr_has(&config->policy.allow_ips.at[i], &config->policy.allow_ips.at[i].ip));
    REQUIRE(config->policy.allow_ips_given == (config->policy.allow_ips.num > 0));
    REQUIRE(config->policy.num_compress <= NUM_CONFIG_ENCODINGS);
    REQUIRE(config->upstream.health_path.len == 0 || config->upstream.health_path.ptr[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf entries[NUM_VARIABLES] = {0};
    const char *texts[NUM_VARIABLES + 1] = {NULL};
    struct slice rest = slice_make(data, len);
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    if (len == 0 || len > 1 << 16)
        return 0;
    for (size_t i = 0; i < NUM_VARIABLES; i++) {
        buf_printf(&entries[i], "PORTICO_%s=", variables[i]);
        buf_append_slice(&entries[i], slice_split(&rest, '\0'));
        texts[i] = buf_cstr(&entries[i]);
    }
    if (config_load(texts, &config, &mistakes))
        check_config(config);
    else
        check_mistakes(&mistakes);
    config_unref(config);
    config_mistakes_cleanup(&mistakes);
    for (size_t i = 0; i < NUM_VARIABLES; i++)
        buf_cleanup(&entries[i]);
    return 0;
}
