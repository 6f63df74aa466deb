/* portico help: made from the table of variables. */
#include "cli/cli.h"

#include "cli/print.h"

enum { HELP_INDENT = 6, HELP_COLUMNS = 100 };

static const char usage[] =
    "portico: a reverse proxy in front of any backend, with automatic TLS.\n"
    "\n"
    "  PORTICO_DOMAINS=app.example.com PORTICO_UPSTREAM=http://app:8000 PORTICO_ACME_ACCEPT_TERMS=true portico\n"
    "\n"
    "Commands:\n"
    "  portico [run]                  serve until TERM\n"
    "  portico run --take-over        the same, with the sockets of the process that serves the storage; it leaves\n"
    "  portico check                  validate, and print every effective value with its source\n"
    "  portico healthcheck [--ready]  ask the running process: 0 alive (or ready), 1 not\n"
    "  portico version                this version and its libraries'\n"
    "  portico help                   this text\n"
    "\n"
    "Exit codes: 0 clean, 1 fatal at run time, 2 usage, 3 the drain's limit cut connections, 78 bad configuration.\n"
    "\n"
    "Configuration is the environment alone. Each variable X can be given as X_FILE, the path of a file that holds\n"
    "the value, or as a file X in the directory that PORTICO_ENV_DIR names. Empty means unset. Durations are written\n"
    "250ms 10s 5m 2h 7d, sizes 64k 1m 1g, lists with commas.\n"
    "\n"
    "SIGHUP, and a change of those files, reads all of them again: what differs applies without a restart, a mistake\n"
    "refuses the whole. [rebind]: the new address is listened on before the old one is left. [restart]: only a "
    "restart\n"
    "applies it, and a reload that changes it is refused.\n"
    "\n"
    "Variables:\n";

static void print_row(FILE *file, const struct config_row_text *row)
{
    fprintf(file, "  %s", row->name);
    if (row->default_value)
        fprintf(file, " (%s)", row->default_value);
    if (row->reload != CONFIG_RELOAD_LIVE)
        fprintf(file, " [%s]", config_reload_text(row->reload));
    fprintf(file, "\n%*s", HELP_INDENT, "");
    print_wrapped(file, row->help, HELP_INDENT, HELP_COLUMNS);
    fprintf(file, "%*s", HELP_INDENT, "");
    print_wrapped(file, row->values, HELP_INDENT, HELP_COLUMNS);
}

static void print_help(FILE *file)
{
    fputs(usage, file);
    for (size_t i = 0; i < config_num_rows(); i++) {
        struct config_row_text row = config_row_at(i);
        print_row(file, &row);
    }
}

static void print_markdown(FILE *file)
{
    fputs("| variable | default | values | meaning | reload |\n|---|---|---|---|---|\n", file);
    for (size_t i = 0; i < config_num_rows(); i++) {
        struct config_row_text row = config_row_at(i);
        const char *tick = row.default_value ? "`" : "";
        fprintf(file, "| `%s` | %s%s%s | %s | %s | %s |\n", row.name, tick, row.default_value ? row.default_value : "–",
                tick, row.values, row.help, config_reload_text(row.reload));
    }
}

int cli_help(const struct cli_call *call)
{
    if (call->num_args == 1 && strcmp(call->args[0], "--markdown") == 0) {
        print_markdown(call->out);
        return CLI_EXIT_CLEAN;
    }
    int refused = cli_no_args(call, "help");
    if (!refused)
        print_help(call->out);
    return refused;
}
