#include "cli/terminal.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct slice variable(const struct cli_call *call, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *entry = call->environment; *entry; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
            return slice_str(*entry + len + 1);
    return SLICE_NONE;
}

struct terminal terminal_of(const struct cli_call *call)
{
    uint64_t columns = 0;
    struct winsize size;
    int fd = fileno(call->out);
    bool terminal = fd >= 0 && isatty(fd);
    if (!slice_decimal(variable(call, "COLUMNS"), 10000, &columns) && terminal && ioctl(fd, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    bool dumb = slice_eq(variable(call, "TERM"), SLICE_LIT("dumb"));
    return (struct terminal){.columns = (int)columns,
                             .color = terminal && !dumb && variable(call, "NO_COLOR").len == 0};
}
