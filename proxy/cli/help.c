/* portico help: made from the table of variables and the manual's texts. */
#include "cli/manual.h"

#include "cli/print.h"

#include <string.h>

enum { HELP_INDENT = 6, HELP_COLUMNS = 100, TERM_COLUMNS = 31, SIGNAL_COLUMNS = 11, EXIT_COLUMNS = 4 };

static const char usage[] =
    "portico: a reverse proxy in front of any backend, with automatic TLS.\n"
    "\n"
    "  PORTICO_DOMAINS=app.example.com PORTICO_UPSTREAM=http://app:8000 PORTICO_ACME_ACCEPT_TERMS=true portico\n";

/* "run" is what happens without a command. */
static void print_commands(FILE *file)
{
    fputs("\nCommands:\n", file);
    for (const struct command *command = manual_commands; command->name; command++) {
        char call[HELP_COLUMNS];
        if (!command->help)
            continue;
        bool implied = command->run == cli_run;
        snprintf(call, sizeof call, "portico %s%s%s%s%s", implied ? "[" : "", command->name, *command->args ? " " : "",
                 command->args, implied ? "]" : "");
        fprintf(file, "  %-*s", TERM_COLUMNS, call);
        if (strlen(call) >= TERM_COLUMNS)
            fprintf(file, "\n%*s", TERM_COLUMNS + 2, "");
        print_wrapped(file, command->help, 2 + TERM_COLUMNS, HELP_COLUMNS);
    }
}

static void print_entries(FILE *file, const char *title, const struct manual_entry *entries, int columns)
{
    fprintf(file, "\n%s:\n", title);
    for (; entries->term; entries++) {
        fprintf(file, "  %-*s", columns, entries->term);
        print_wrapped(file, entries->text, 2 + columns, HELP_COLUMNS);
    }
}

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
    print_commands(file);
    print_entries(file, "Signals", manual_signals, SIGNAL_COLUMNS);
    print_entries(file, "Exit codes", manual_exits, EXIT_COLUMNS);
    putc('\n', file);
    print_wrapped(file, manual_values, 0, HELP_COLUMNS);
    putc('\n', file);
    print_wrapped(file, manual_reload, 0, HELP_COLUMNS);
    fputs("\nVariables (the default in parentheses):\n", file);
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
    const char *form = call->num_args == 1 ? call->args[0] : "";
    if (strcmp(form, "--markdown") == 0) {
        print_markdown(call->out);
        return CLI_EXIT_CLEAN;
    }
    if (strcmp(form, "--man") == 0) {
        manual_print(call->out, call->version);
        return CLI_EXIT_CLEAN;
    }
    int refused = cli_no_args(call, "help");
    if (!refused)
        print_help(call->out);
    return refused;
}
