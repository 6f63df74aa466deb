/* DOMAINS, UPSTREAM and a host to look up, separated by NULs: whatever they hold, a configuration loads or says why, what
 * loaded can be found again, and loading its own canonical text gives the same. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "config/config.h"

#include <stdint.h>
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

static struct config *load(struct slice domains, struct slice upstream)
{
    struct buf first = {0}, second = {0}, text = {0};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    buf_printf(&first, "PORTICO_DOMAINS=%.*s", (int)domains.len, domains.ptr ? domains.ptr : "");
    buf_printf(&second, "PORTICO_UPSTREAM=%.*s", (int)upstream.len, upstream.ptr ? upstream.ptr : "");
    bool ok = config_load((const char *const[]){buf_cstr(&first), buf_cstr(&second), NULL}, &config, &mistakes);
    REQUIRE(ok == (mistakes.num == 0) && ok == (config != NULL));
    config_mistakes_print(&mistakes, &text);
    for (size_t i = 0; i < text.len; i += text.ptr[i] == '\n' ? 1 : utf8_visible_len(slice_skip(buf_slice(&text), i)))
        REQUIRE(text.ptr[i] == '\n' || utf8_visible_len(slice_skip(buf_slice(&text), i)) > 0);
    config_mistakes_cleanup(&mistakes);
    buf_cleanup(&first);
    buf_cleanup(&second);
    buf_cleanup(&text);
    return config;
}

/* The names as DOMAINS would be written by ourselves. */
static void print_domains(const struct config *config, struct buf *out)
{
    for (size_t i = 0; i < config->num_names; i++) {
        const struct config_site *site = config->names[i].site;
        buf_printf(out, "%s%s", config->names[i].text.ptr, site->kind == CONFIG_SITE_REDIRECT ? " => " : " ->");
        if (site->kind == CONFIG_SITE_REDIRECT)
            buf_append_slice(out, site->redirect_to);
        for (size_t u = 0; site->kind == CONFIG_SITE_PROXY && u < site->group->num_upstreams; u++)
            buf_printf(out, " %s", site->group->upstreams[u]->text.ptr);
        buf_append_char(out, '\n');
    }
}

static void check_found(const struct config *config)
{
    for (size_t i = 0; i < config->num_names; i++) {
        const struct config_name *name = &config->names[i];
        REQUIRE(name->text.len > 0 && strlen(name->text.ptr) == name->text.len && name->site);
        REQUIRE(name->site->kind == CONFIG_SITE_REDIRECT || name->site->group->num_upstreams > 0);
        REQUIRE(config_name_for(config, name->text) == (name->wildcard ? NULL : name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0 || len > 1 << 16)
        return 0;
    struct slice rest = slice_make(data, len), domains = slice_split(&rest, '\0'), upstream = slice_split(&rest, '\0');
    struct config *config = load(domains, upstream);
    if (!config)
        return 0;
    struct buf text = {0}, again = {0};
    check_found(config);
    REQUIRE(!config_manages(config, rest) || config_site_for(config, rest) != NULL);
    print_domains(config, &text);
    struct config *second = load(buf_slice(&text), upstream);
    REQUIRE(second);
    print_domains(second, &again);
    REQUIRE(slice_eq(buf_slice(&text), buf_slice(&again)));
    config_unref(second);
    config_unref(config);
    buf_cleanup(&text);
    buf_cleanup(&again);
    return 0;
}
