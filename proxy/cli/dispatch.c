/* From a command's name to its function. */
#include "cli/manual.h"
#include "cli/print.h"

#include "base/slice.h"
#include "config/nearest.h"

const struct command manual_commands[] = {
    {"run", cli_run, "[--take-over]",
     "serve until TERM; `--take-over`: with the sockets of the process that serves the storage, which then leaves"},
    {"check", cli_check, "", "validate, and print every effective value with its source"},
    {"healthcheck", cli_healthcheck, "[--ready]", "ask the running process: 0 alive (or ready), 1 not"},
    {"status", cli_status, "[--json]", "the names with their certificates; 1 where one is missing or ends soon"},
    {"renew", cli_renew, "NAME [--force] [--wait]",
     "order a new certificate now, whatever our own back-off says; `--force`: whatever the CA asked to wait, too; "
     "`--wait`: until it is served"},
    {"revoke", cli_revoke, "NAME [--reason REASON]",
     "revoke its certificate: `unspecified` and `superseded` once another is served, `keyCompromise` at once, "
     "`cessationOfOperation` without another"},
    {"account", cli_account, "show|update|rollover|deactivate [--fallback]",
     "the account at the CA: what is known of it; tell the CA its contact anew; exchange its key; end it for ever"},
    {"dry-run", cli_dry_run, "[--directory URL]",
     "order every name at the CA's staging directory, which changes nothing that is stored or served"},
    {"doctor", cli_doctor, "[--json] [NAME]",
     "why certificates will not come, or did not: DNS, port 80, CAA, clock, CA, storage; 1 where something fails"},
    {"dns", cli_dns, "[NAME]", "the DNS records to paste: CAA for this account alone, and those of dns-persist-01"},
    {"drain", cli_drain, "", "ask the running process to finish what it does and end, as TERM does"},
    {"ca", cli_ca, "",
     "the local CA's root in PEM; on standard error its fingerprint, and how machines come to trust it"},
    {"version", cli_version, "", "this version and its libraries'"},
    {"help", cli_help, "", "this text; `--man` makes the man page of it, `--markdown` the table of variables"},
    {"--version", cli_version, "", NULL},
    {"--help", cli_help, "", NULL},
    {"-h", cli_help, "", NULL},
    {NULL, NULL, NULL, NULL},
};

static int unknown_command(const struct cli_call *call, const char *name)
{
    struct nearest nearest = {0};
    for (const struct command *command = manual_commands; command->name; command++)
        if (command->help)
            nearest_offer(&nearest, slice_str(name), slice_str(command->name));
    fprintf(call->err, "portico: there is no such command: %.64s", name);
    if (nearest.best.ptr)
        fprintf(call->err, "; did you mean `portico %s`?\n", nearest.best.ptr);
    else
        fprintf(call->err, "; `portico help` lists them\n");
    return CLI_EXIT_USAGE;
}

int cli_dispatch(const struct cli_call *call)
{
    if (call->num_args == 0)
        return cli_run(call);
    struct cli_call rest = *call;
    rest.args++;
    rest.num_args--;
    for (const struct command *command = manual_commands; command->name; command++)
        if (strcmp(call->args[0], command->name) == 0)
            return command->run(&rest);
    return unknown_command(call, call->args[0]);
}

int cli_no_args(const struct cli_call *call, const char *command)
{
    if (call->num_args == 0)
        return CLI_EXIT_CLEAN;
    fprintf(call->err, "portico %s: takes no argument, but got `%.64s`\n", command, call->args[0]);
    return CLI_EXIT_USAGE;
}

struct config *cli_load(const struct cli_call *call,
                        bool (*load)(const char *const *entries, struct config **out_config,
                                     struct config_mistakes *out_mistakes))
{
    struct config *config;
    struct config_mistakes mistakes = {0};
    if (load(call->environment, &config, &mistakes))
        return config;
    print_mistakes(call->err, &mistakes);
    config_mistakes_cleanup(&mistakes);
    return NULL;
}

int cli_flag_or_nothing(const struct cli_call *call, const char *command, const char *flag, bool *out_given)
{
    *out_given = call->num_args == 1 && strcmp(call->args[0], flag) == 0;
    if (*out_given || call->num_args == 0)
        return CLI_EXIT_CLEAN;
    fprintf(call->err, "portico %s: takes %s or nothing, but got `%.64s`\n", command, flag,
            call->args[call->num_args - 1]);
    return CLI_EXIT_USAGE;
}
