/* portico renew: has the running process order a new certificate for a name, now. */
#include "cli/cli.h"

#include "cli/follow.h"

#include <string.h>

struct renewal {
    const char *name; /* NULL: none so far */
    bool force, wait;
};

static bool renewal_read(const struct cli_call *call, struct renewal *out)
{
    *out = (struct renewal){0};
    for (size_t i = 0; i < call->num_args; i++) {
        const char *arg = call->args[i];
        if (strcmp(arg, "--force") == 0)
            out->force = true;
        else if (strcmp(arg, "--wait") == 0)
            out->wait = true;
        else if (arg[0] == '-' || out->name)
            return false;
        else
            out->name = arg;
    }
    return out->name != NULL;
}

int cli_renew(const struct cli_call *call)
{
    struct renewal renewal;
    struct buf path = {0};
    int code = CLI_EXIT_USAGE;
    if (!renewal_read(call, &renewal)) {
        fprintf(call->err, "portico renew: takes one name, and `--force` or `--wait` where wanted\n");
        return code;
    }
    buf_append_str(&path, "/renew");
    if (follow_query_name(call, "renew", &path, renewal.name)) {
        if (renewal.force)
            follow_query(&path, '&', "force", SLICE_LIT("1"));
        code = follow_command(call, "renew", buf_slice(&path), renewal.wait ? FOLLOW_ENDED : FOLLOW_BEGUN);
    }
    buf_cleanup(&path);
    return code;
}
