/* portico check: validates, and shows what would be in effect. */
#include "cli/cli.h"

#include "cli/print.h"
#include "core/sandbox.h"

static void print_source(FILE *file, const struct config_value *value)
{
    switch (value->source) {
    case CONFIG_FROM_DEFAULT: fputs("default", file); break;
    case CONFIG_FROM_ENVIRONMENT: fputs("environment", file); break;
    case CONFIG_FROM_FILE:
        fputs("file ", file);
        print_escaped(file, value->path);
        break;
    }
    if (value->note)
        fprintf(file, "; %s", value->note);
}

static void print_values(FILE *file, const struct config *config)
{
    for (size_t i = 0; i < config_num_rows(); i++) {
        const struct config_value *value = &config->values[i];
        fprintf(file, "%-34s ", config_row_at(i).name);
        print_escaped(file, value->text.len ? value->text : SLICE_LIT("-"));
        fputs("  (", file);
        print_source(file, value);
        fputs(")\n", file);
    }
}

static const char *issuer_text(const struct config *config, const struct config_name *name)
{
    switch (name->issuer) {
    case CONFIG_ISSUER_ACME: return config->acme.directory.ptr;
    case CONFIG_ISSUER_INTERNAL: return "the local CA";
    case CONFIG_ISSUER_OWN: return "one's own alone";
    }
    return "nobody";
}

static void print_site(FILE *file, const struct config_site *site)
{
    if (site->kind == CONFIG_SITE_REDIRECT) {
        fprintf(file, "=> %s", site->redirect_to.ptr);
        return;
    }
    fputs("->", file);
    for (size_t i = 0; i < site->group->num_upstreams; i++)
        fprintf(file, " %s", site->group->upstreams[i]->text.ptr);
}

static void print_names(FILE *file, const struct config *config)
{
    putc('\n', file);
    for (size_t i = 0; i < config->num_names; i++) {
        const struct config_name *name = &config->names[i];
        fprintf(file, "%s ", name->text.ptr);
        if (name->unicode.len) {
            putc('(', file);
            print_escaped(file, name->unicode);
            fputs(") ", file);
        }
        print_site(file, name->site);
        fprintf(file, "  (certificate of %s)\n", issuer_text(config, name));
    }
    if (config->names_from_certificate)
        fputs("the names of the certificates of one's own ", file);
    else if (config->on_demand_ask.len)
        fputs(config->num_names ? "other names that PORTICO_ON_DEMAND_ASK allows "
                                : "every name that PORTICO_ON_DEMAND_ASK allows ",
              file);
    else if (config->num_names)
        return;
    else
        fputs("every name, over plain HTTP alone ", file);
    print_site(file, &config->default_site);
    putc('\n', file);
}

/* Not a mistake: the terms may be read first. */
static void print_terms(FILE *file, const struct config *config)
{
    bool asks = false;
    for (size_t i = 0; i < config->num_names; i++)
        asks |= config->names[i].issuer == CONFIG_ISSUER_ACME;
    if (asks && !config->acme.accept_terms && config->acme.kind == CONFIG_DIRECTORY_PUBLIC)
        fputs("\nPORTICO_ACME_ACCEPT_TERMS is false: nothing is ordered from the CA until its terms are read and this "
              "says true.\n",
              file);
}

static void print_sandbox(FILE *file, const struct config *config)
{
    char offer[256];
    fprintf(file, "\nSandbox: %s\n",
            config->sandbox == CONFIG_SANDBOX_OFF ? "off" : sandbox_offer(offer, sizeof offer));
}

int cli_check(const struct cli_call *call)
{
    struct config *config;
    int usage = cli_no_args(call, "check");
    if (usage)
        return usage;
    config = cli_load(call, config_load);
    if (!config)
        return CLI_EXIT_CONFIG;
    print_values(call->out, config);
    print_names(call->out, config);
    print_terms(call->out, config);
    print_sandbox(call->out, config);
    config_unref(config);
    return CLI_EXIT_CLEAN;
}
