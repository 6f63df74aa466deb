/* portico dns: the records that the zones of the names should have for the CA, to be pasted into them. */
#include "cli/cli.h"

#include "certs/issuer_look.h"
#include "certs/zone.h"
#include "core/errand.h"

#include <string.h>

struct dns_call {
    const struct cli_call *call;
    const struct config *config;
    struct errand *errand;
    struct slice name; /* empty: all */
    struct issuer_look looks[CONFIG_ISSUERS];
    size_t num_pending;
    bool done;
    struct zone_issuer issuers[CONFIG_ISSUERS];
    size_t num_issuers;
    bool failed;
};

#define TEXT(slice) (int)(slice).len, (slice).len ? (slice).ptr : ""

/* What is missing, on standard error: what is printed is to be pasted. */
static void complain(struct dns_call *dns, struct slice url, const char *what, const char *detail)
{
    fprintf(dns->call->err, "portico dns: %.*s: %s%s\n", TEXT(url), what, detail ? detail : "");
    dns->failed = true;
}

static void issuer_known(struct issuer_look *look, const struct acme_reply *reply)
{
    struct dns_call *dns = look->ctx;
    if (err_is(reply->err))
        complain(dns, look->url, "the CA's directory, which says its name in CAA, cannot be read: ",
                 reply->detail ? reply->detail : reply->err.what);
    else if (!look->directory.new_order.ptr)
        complain(dns, look->url, "this is no ACME directory; see `portico doctor`", NULL);
    else if (look->directory.num_caa_identities == 0)
        complain(dns, look->url, "the CA does not say its name in CAA (meta.caaIdentities): its documentation may",
                 NULL);
    if (look->account != STORE_OK && look->account != STORE_NOT_FOUND)
        complain(dns, look->url, "the account's record cannot be read: ", store_result_text(look->account));
    else if (look->account_url.len == 0)
        complain(
            dns, look->url,
            "there is no account at the CA yet, so that records cannot name it: start Portico once, which makes one "
            "with its first order",
            NULL);
    dns->done = --dns->num_pending == 0;
}

static void take_issuer(struct dns_call *dns, const struct issuer_look *look)
{
    size_t num_names;
    const struct slice *names = directory_issuer_names(&look->directory, &num_names);
    if (num_names == 0)
        return;
    dns->issuers[dns->num_issuers++] = (struct zone_issuer){
        .identity = look->directory.num_caa_identities ? look->directory.caa_identities[0] : SLICE_NONE,
        .issuer_name = names[0],
        .account = issuer_look_account(look),
    };
}

static void look_at_issuers(struct dns_call *dns)
{
    struct transport *transport = errand_transport(dns->errand);
    issuer_look_init(dns->looks, dns->config);
    for (size_t i = 0; i < CONFIG_ISSUERS; i++) {
        struct issuer_look *look = &dns->looks[i];
        if (look->url.len == 0)
            continue;
        dns->num_pending++;
        look->done = issuer_known;
        look->ctx = dns;
        issuer_look_start(look, errand_store(dns->errand), transport);
    }
    errand_run(dns->errand, &dns->done);
    for (size_t i = 0; i < CONFIG_ISSUERS; i++)
        take_issuer(dns, &dns->looks[i]);
}

static bool is_asked_for(const struct dns_call *dns, const struct config_name *name)
{
    return name->issuer == CONFIG_ISSUER_ACME && !name->ip &&
           (dns->name.len == 0 || config_name_asked(dns->config, dns->name) == name);
}

static void print_records(struct dns_call *dns)
{
    struct buf out = {0};
    size_t num = 0;
    for (size_t i = 0; i < dns->config->num_names; i++) {
        const struct config_name *name = &dns->config->names[i];
        if (!is_asked_for(dns, name))
            continue;
        num++;
        zone_write_caa(dns->config, name, dns->issuers, dns->num_issuers, &out);
        zone_write_persist(dns->config, name, dns->issuers, dns->num_issuers, &out);
    }
    if (num == 0) {
        fprintf(dns->call->err, "portico dns: PORTICO_DOMAINS has no such name that a CA is asked for\n");
        dns->failed = true;
    }
    if (out.len)
        fwrite(out.ptr, 1, out.len, dns->call->out);
    buf_cleanup(&out);
}

static int run_dns(struct dns_call *dns)
{
    struct buf mistake = {0};
    struct err err = errand_new(dns->config, dns->call->version, &dns->errand, &mistake);
    if (err_is(err)) {
        fprintf(dns->call->err, "portico dns: %s\n", buf_cstr(&mistake));
        buf_cleanup(&mistake);
        return CLI_EXIT_CONFIG;
    }
    if (errand_transport(dns->errand))
        look_at_issuers(dns);
    print_records(dns);
    for (size_t i = 0; i < CONFIG_ISSUERS; i++)
        issuer_look_cleanup(&dns->looks[i]);
    errand_free(dns->errand);
    return dns->failed ? CLI_EXIT_FATAL : CLI_EXIT_CLEAN;
}

int cli_dns(const struct cli_call *call)
{
    struct dns_call dns = {.call = call};
    if (call->num_args > 1 || (call->num_args == 1 && call->args[0][0] == '-')) {
        fprintf(call->err, "portico dns: takes a name, or nothing, but got `%.64s`\n", call->args[call->num_args - 1]);
        return CLI_EXIT_USAGE;
    }
    if (call->num_args)
        dns.name = slice_str(call->args[0]);
    struct config *config = cli_load(call, config_load);
    if (!config)
        return CLI_EXIT_CONFIG;
    dns.config = config;
    int code = run_dns(&dns);
    config_unref(config);
    return code;
}
