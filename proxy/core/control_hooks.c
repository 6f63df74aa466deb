#include "core/control_internal.h"

#include "certs/preflight.h"

#include <stdlib.h>

static bool hook_is_program(const struct config *config)
{
    return config->acme.dns_hook.len && config->acme.dns_hook.ptr[0] == '/';
}

void control_fork_runner(struct control *control)
{
    struct runner_options options = {.program = control->config->acme.dns_hook.ptr,
                                     .names = {"PORTICO_DNS_ACTION", "PORTICO_DNS_FQDN", "PORTICO_DNS_VALUE"},
                                     .environment = control->environment};
    if (hook_is_program(control->config))
        control->runner_err = runner_new(&options, &control->runner);
}

void control_init_hooks(struct control *control)
{
    struct dns_options options = {.loop = control->net};
    control->dns = dns_new(&options);
    struct preflight_options preflight = {.loop = control->net, .dns = control->dns, .version = control->version};
    control->preflight = preflight_new(&preflight);
    if (control->runner)
        runner_attach(control->runner, control->net);
}

struct err control_make_hook(void *ctx, const struct config *config, struct dns_hook **out_hook)
{
    struct control *control = ctx;
    struct https_proxy_options proxy = control_https_proxy();
    struct dns_hook_options options = {.loop = control->net,
                                       .log = control->ring,
                                       .hook = config->acme.dns_hook,
                                       .runner = control->runner,
                                       .resolver = control->resolver,
                                       .extra_roots_pem = config->acme.ca.text,
                                       .proxy = &proxy,
                                       .version = control->version,
                                       .dns = control->dns};
    *out_hook = NULL;
    return config->acme.dns_hook.len ? dns_hook_new(&options, out_hook) : ERR_OK;
}

bool control_start_hook(struct control *control)
{
    struct err err = control->runner_err;
    if (!err_is(err))
        err = control_make_hook(control, control->config, &control->dns_hook);
    if (err_is(err))
        LOG_ERROR_EVENT(control->ring, "configuration_failed", LOG_ERR("error", err),
                        LOG_STR("msg", "PORTICO_ACME_DNS_HOOK cannot be called"));
    return !err_is(err);
}

void control_make_demand_ask(struct control *control)
{
    struct https_proxy_options proxy = control_https_proxy();
    struct demand_ask_options options = {.loop = control->net,
                                         .resolver = control->resolver,
                                         .extra_roots_pem = control->config->acme.ca.text,
                                         .proxy = &proxy,
                                         .version = control->version};
    control->demand_ask = demand_ask_new(&options);
}

static void control_hook_closed(void *ctx)
{
    ((struct control *)ctx)->num_hooks_closing--;
}

void control_close_hook(void *ctx, struct dns_hook *hook)
{
    struct control *control = ctx;
    if (!hook)
        return;
    control->num_hooks_closing++;
    dns_hook_close(hook, control_hook_closed, control);
}

void control_end_hooks(struct control *control)
{
    control_close_hook(control, control->dns_hook);
    control->dns_hook = NULL;
    runner_unref(control->runner); /* the hook keeps it until its records are removed */
    control->runner = NULL;
    preflight_free(control->preflight);
    control->preflight = NULL;
    dns_free(control->dns);
    control->dns = NULL;
    demand_ask_free(control->demand_ask);
    control->demand_ask = NULL;
}
