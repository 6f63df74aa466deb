/* cli: the commands, one file each. A command is handed its arguments, the environment and where to write, and returns
 * the exit code of the process; it reads nothing global. Main thread; `run` alone starts others. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What the process ends with (PRODUCT.md). */
enum cli_exit {
    CLI_EXIT_CLEAN = 0,
    CLI_EXIT_FATAL = 1, /* at run time */
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_CUT = 3,    /* the limit of the drain cut requests */
    CLI_EXIT_CONFIG = 78 /* bad configuration (EX_CONFIG) */
};

struct cli_call {
    const char *const *args; /* behind the command's name */
    size_t num_args;
    const char *const *environment; /* NAME=value, NULL-terminated */
    FILE *out, *err;
    const char *version;          /* of this program */
    const char *boringssl_source; /* which BoringSSL is inside, in words */
};

/* args: the command's name, or nothing for `run`, and its arguments. */
int cli_dispatch(const struct cli_call *call);

/* [--take-over]: serves until told to end. */
int cli_run(const struct cli_call *call);
/* Validates, and prints every effective value with its source. */
int cli_check(const struct cli_call *call);
/* [--ready]: asks the running process, 2 s in all; 0 or 1. */
int cli_healthcheck(const struct cli_call *call);
/* Asks the running process to drain; 0 or 1. */
int cli_drain(const struct cli_call *call);
/* NAME [--force] [--wait]: a new certificate now; 0 when it is ordered or, with --wait, served. */
int cli_renew(const struct cli_call *call);
/* NAME [--reason REASON]: 0 when its certificate is revoked and, but for cessationOfOperation, replaced. */
int cli_revoke(const struct cli_call *call);
/* show, or update, rollover, deactivate; [--fallback] */
int cli_account(const struct cli_call *call);
/* [--directory URL]: 0 when every name could be ordered at the staging directory. */
int cli_dry_run(const struct cli_call *call);
/* [--json]: a table of the names; 0, or 1 where one has no valid certificate, or one that ends soon. */
int cli_status(const struct cli_call *call);
/* The local CA's root as PEM, and how to trust it on err; 0, or 1 where there is none. */
int cli_ca(const struct cli_call *call);
/* [--json] [NAME]: why certificates will not come, or did not; 0, or 1 where something fails. */
int cli_doctor(const struct cli_call *call);
/* [NAME]: the CAA and dns-persist-01 records of the names; 0, or 1 where something of them is not known. */
int cli_dns(const struct cli_call *call);
int cli_version(const struct cli_call *call);
/* [--markdown]: the README's table of variables; [--man]: the man page. */
int cli_help(const struct cli_call *call);

/* For commands without arguments: 0, or says so and gives the exit code. */
int cli_no_args(const struct cli_call *call, const char *command);
/* For those that take one flag or nothing: 0 and whether it is there, or as above. */
int cli_flag_or_nothing(const struct cli_call *call, const char *command, const char *flag, bool *out_given);
/* The configuration by `load` (config_load, config_load_admin), or NULL, its mistakes printed. */
struct config *cli_load(const struct cli_call *call,
                        bool (*load)(const char *const *entries, struct config **out_config,
                                     struct config_mistakes *out_mistakes));

#endif
