/* From a command's name to its function. */
#include "cli/cli.h"

#include "base/slice.h"
#include "config/nearest.h"

struct command {
    const char *name;
    int (*run)(const struct cli_call *call);
    bool listed; /* offered as the nearest name */
};

static const struct command commands[] = {
    {"run", cli_run, true},         {"check", cli_check, true}, {"healthcheck", cli_healthcheck, true},
    {"version", cli_version, true}, {"help", cli_help, true},   {"--version", cli_version, false},
    {"--help", cli_help, false},    {"-h", cli_help, false},    {NULL, NULL, false},
};

static int unknown_command(const struct cli_call *call, const char *name)
{
    struct nearest nearest = {0};
    for (const struct command *command = commands; command->name; command++)
        if (command->listed)
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
    for (const struct command *command = commands; command->name; command++)
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
