/* portico dry-run: has the running process order every name at a staging directory, as a rehearsal. */
#include "cli/cli.h"

#include "cli/follow.h"

#include <string.h>

int cli_dry_run(const struct cli_call *call)
{
    struct buf path = {0};
    bool named = call->num_args == 2 && strcmp(call->args[0], "--directory") == 0;
    if (call->num_args && !named) {
        fprintf(call->err, "portico dry-run: takes nothing, or `--directory URL`\n");
        return CLI_EXIT_USAGE;
    }
    buf_append_str(&path, "/dry-run");
    if (named)
        follow_query(&path, '?', "directory", slice_str(call->args[1]));
    int code = follow_command(call, "dry-run", buf_slice(&path), FOLLOW_ENDED);
    buf_cleanup(&path);
    return code;
}
