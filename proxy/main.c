/* The process: its arguments and environment in, an exit code out. */
#include "cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

/* Whoever starts us may have left 0 to 2 closed: a socket with such a number would take what is meant for the log, and libuv
 * closes none. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
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
