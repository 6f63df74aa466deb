/* The process: its arguments and environment in, an exit code out. */
#include "cli/cli.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    const struct cli_call call = {
        .args = (const char *const *)argv + 1,
        .num_args = argc > 1 ? (size_t)argc - 1 : 0,
        .environment = (const char *const *)environ,
        .out = stdout,
        .err = stderr,
        .version = PORTICO_VERSION,
        .boringssl_source = BORINGSSL_SOURCE,
    };
    int code = cli_dispatch(&call);
    if (fflush(stdout) != 0 && code == CLI_EXIT_CLEAN)
        code = CLI_EXIT_FATAL;
    return code;
}
