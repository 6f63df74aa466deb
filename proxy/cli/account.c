/* portico account: shows and changes the running process's account at its CA. */
#include "cli/cli.h"

#include "cli/follow.h"

#include <string.h>

static bool is_change(const char *text)
{
    return strcmp(text, "update") == 0 || strcmp(text, "rollover") == 0 || strcmp(text, "deactivate") == 0;
}

static int account_change(const struct cli_call *call, const char *change, bool fallback)
{
    struct buf path = {0};
    buf_append_str(&path, "/account/change");
    follow_query(&path, '?', "to", slice_str(change));
    if (fallback)
        follow_query(&path, '&', "fallback", SLICE_LIT("1"));
    int code = follow_command(call, "account", buf_slice(&path), FOLLOW_ENDED);
    buf_cleanup(&path);
    return code;
}

int cli_account(const struct cli_call *call)
{
    const char *what = call->num_args ? call->args[0] : "";
    bool fallback = call->num_args == 2 && strcmp(call->args[1], "--fallback") == 0;
    if (strcmp(what, "show") == 0 && call->num_args == 1)
        return follow_show(call, "account", "/account");
    if (is_change(what) && (call->num_args == 1 || fallback))
        return account_change(call, what, fallback);
    fprintf(call->err, "portico account: takes show, or update, rollover or deactivate and then `--fallback` where the "
                       "account of PORTICO_ACME_FALLBACK is meant\n");
    return CLI_EXIT_USAGE;
}
