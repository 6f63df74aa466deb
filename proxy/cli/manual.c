#include "cli/manual.h"

#include "config/config.h"

const struct manual_entry manual_signals[] = {
    {"TERM, INT", "drain: finish what is in flight and end; a second `INT` ends at once"},
    {"QUIT", "end at once"},
    {"HUP", "read every file of the configuration again"},
    {"USR1", "turn debug logging on and off"},
    {NULL, NULL},
};

const struct manual_entry manual_exits[] = {
    {"0", "it ended cleanly, or the answer is yes"},
    {"1", "it failed at run time, or the answer is no"},
    {"2", "the command line is wrong"},
    {"3", "the limit of the drain cut requests"},
    {"78", "the configuration is wrong; every mistake is on standard error"},
    {NULL, NULL},
};

const struct manual_entry manual_files[] = {
    {"/var/lib/portico",
     "account key, certificates, the local CA, back-off state; PORTICO_STORAGE names another directory. Mode 0700, of "
     "one process at a time: a second one serves from it and waits"},
    {"/run/portico", "the control socket, by which `portico status` and `portico drain` reach the process; where that "
                     "directory cannot be written, it is in PORTICO_STORAGE"},
    {"/etc/ssl/certs/ca-certificates.crt", "the roots by which the CA is verified"},
    {NULL, NULL},
};

/* The paths of the admin endpoint. */
static const struct manual_entry admin_paths[] = {
    {"/livez", "200 while the control loop and every worker turn; nothing else counts"},
    {"/readyz", "200 when started, while not draining, and as PORTICO_READY_REQUIRES says"},
    {"/startupz", "200 when configuration and storage are read and the listeners are bound"},
    {"/metrics", "OpenMetrics, or Prometheus's text"},
    {"/status", "every name with its certificate, as JSON; the page that shows it is at /"},
    {"/drain", "POST: as TERM"},
    {NULL, NULL},
};

const struct manual_entry manual_examples[] = {
    {"A certificate from Let's Encrypt, and requests to a service on port 8000:",
     "PORTICO_DOMAINS=app.example.com PORTICO_ACME_ACCEPT_TERMS=true portico"},
    {"The same on a laptop, with a certificate of the local CA and ports that need no rights:",
     "PORTICO_DOMAINS=localhost PORTICO_STORAGE=$HOME/.portico \\\n"
     "PORTICO_HTTP_LISTEN=:8080 PORTICO_HTTPS_LISTEN=:8443 PORTICO_HTTPS_PUBLIC=8443 portico"},
    {"Two services, and a name that has moved:", "export PORTICO_ACME_ACCEPT_TERMS=true\n"
                                                 "export PORTICO_DOMAINS='a.example.com -> http://a:8000,\n"
                                                 "                        b.example.com -> http://b:8000,\n"
                                                 "                        old.example.com => https://a.example.com'\n"
                                                 "portico"},
    {"What would be in effect, before it is:", "portico check"},
    {NULL, NULL},
};

const char manual_values[] =
    "Configuration is the environment alone. Each variable X can be given as X_FILE, the path of a file that holds the "
    "value, or as a file X in the directory that PORTICO_ENV_DIR names. Empty means unset. Durations are written "
    "`250ms` `10s` `5m` `2h` `7d`, sizes `64k` `1m` `1g`; lists are "
    "split at commas and newlines; yes and no are true, false, yes, no, on, off, 1 and 0.";

const char manual_reload[] =
    "HUP, and a change of those files, reads all of them again: what differs applies without a restart, a mistake "
    "refuses the whole. [rebind]: the new address is listened on before the old one is left. [restart]: only a restart "
    "applies it, and a reload that changes it is refused.";

/* In man(7), a backslash begins an escape, a hyphen is typeset as one, and a line that begins with a dot or a quote is
 * a request: no line of ours does, but for the first. */
static void put_text(FILE *file, const char *text)
{
    bool bold = false;
    if (*text == '.' || *text == '\'')
        fputs("\\&", file);
    for (; *text; text++)
        switch (*text) {
        case '`':
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", file);
            break;
        case '\\': fputs("\\e", file); break;
        case '-': fputs("\\-", file); break;
        case '\'': fputs("\\(aq", file); break;
        case '^': fputs("\\(ha", file); break;
        case '~': fputs("\\(ti", file); break;
        default: putc(*text, file);
        }
}

static void put_paragraph(FILE *file, const char *text)
{
    put_text(file, text);
    putc('\n', file);
}

static void put_paragraph_after(FILE *file, const char *text)
{
    fputs(".PP\n", file);
    put_paragraph(file, text);
}

static void put_section(FILE *file, const char *title)
{
    fprintf(file, ".SH %s\n", title);
}

static void put_entry(FILE *file, const char *term, const char *text)
{
    fputs(".TP\n\\fB", file);
    put_text(file, term);
    fputs("\\fR\n", file);
    put_paragraph(file, text);
}

static void put_entries(FILE *file, const char *title, const struct manual_entry *entries)
{
    put_section(file, title);
    for (; entries->term; entries++)
        put_entry(file, entries->term, entries->text);
}

static void put_head(FILE *file, const char *version)
{
    fprintf(file, ".\\\" Made by `portico help --man`: change the tables of the program instead.\n");
    fprintf(file, ".TH PORTICO 1 \"\" \"portico %s\" \"User Commands\"\n", version);
    fputs(".nh\n.ad l\n", file); /* names are not broken, words not spread */
    put_section(file, "NAME");
    put_paragraph(file, "portico - reverse proxy with automatic TLS");
    put_section(file, "SYNOPSIS");
    fputs(".B portico\n.RI [ command ]\n", file);
    put_section(file, "DESCRIPTION");
    put_paragraph(file,
                  "Portico stands in front of a service that speaks plain HTTP. It gets a certificate for each name "
                  "through ACME, renews it for ever, swaps it in memory without dropping a connection, and "
                  "forwards the requests. Names that no public CA signs get a certificate of the built-in local "
                  "CA.");
    put_paragraph_after(file, manual_values);
    put_paragraph_after(file, manual_reload);
    put_paragraph_after(
        file, "All mistakes of a configuration are told in one run; an unknown PORTICO_ name is one of them.");
}

static void put_commands(FILE *file)
{
    put_section(file, "COMMANDS");
    for (const struct command *command = manual_commands; command->name; command++) {
        if (!command->help)
            continue;
        fprintf(file, ".TP\n\\fB%s\\fR%s", command->name, *command->args ? " " : "");
        put_paragraph(file, command->args);
        put_paragraph(file, command->help);
    }
}

static void put_variable(FILE *file, const struct config_row_text *row)
{
    fprintf(file, ".TP\n\\fB%s\\fR", row->name);
    if (row->default_value) {
        fputs(" (", file);
        put_text(file, row->default_value);
        putc(')', file);
    }
    if (row->reload != CONFIG_RELOAD_LIVE)
        fprintf(file, " [%s]", config_reload_text(row->reload));
    putc('\n', file);
    put_paragraph(file, row->help);
    fputs(".br\n", file);
    put_paragraph(file, row->values);
}

static void put_variables(FILE *file)
{
    put_section(file, "ENVIRONMENT");
    put_paragraph(file, "The default stands in parentheses, the form of the value in the last line.");
    for (size_t i = 0; i < config_num_rows(); i++) {
        struct config_row_text row = config_row_at(i);
        put_variable(file, &row);
    }
    put_entry(file, "HTTPS_PROXY, NO_PROXY",
              "the proxy by which the CA is reached, and the hosts that are reached without it");
}

static void put_examples(FILE *file)
{
    put_section(file, "EXAMPLES");
    for (const struct manual_entry *example = manual_examples; example->term; example++) {
        fputs(example == manual_examples ? "" : ".PP\n", file);
        put_paragraph(file, example->term);
        fputs(".PP\n.RS 4\n.nf\n.ft B\n", file);
        put_paragraph(file, example->text);
        fputs(".ft R\n.fi\n.RE\n", file);
    }
}

void manual_print(FILE *file, const char *version)
{
    put_head(file, version);
    put_commands(file);
    put_variables(file);
    put_entries(file, "SIGNALS", manual_signals);
    put_entries(file, "EXIT STATUS", manual_exits);
    put_entries(file, "ADMIN ENDPOINT", admin_paths);
    put_paragraph_after(file, "It listens at PORTICO_ADMIN_LISTEN. From elsewhere than this machine /status, and from "
                              "anywhere /drain, ask for PORTICO_ADMIN_TOKEN as a bearer token.");
    put_entries(file, "FILES", manual_files);
    put_examples(file);
    put_section(file, "SEE ALSO");
    fputs(".BR curl (1),\n.BR htpasswd (1)\n", file);
}
