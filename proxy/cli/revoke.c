/* portico revoke: has the running process revoke the certificate of a name, and replace it as the reason wants. */
#include "cli/cli.h"

#include "acme/revoke.h"
#include "cli/follow.h"

#include <string.h>

static bool revoke_read(const struct cli_call *call, const char **out_name, const char **out_reason)
{
    *out_name = *out_reason = NULL;
    for (size_t i = 0; i < call->num_args; i++) {
        const char *arg = call->args[i];
        if (strcmp(arg, "--reason") == 0 && i + 1 < call->num_args && !*out_reason)
            *out_reason = call->args[++i];
        else if (arg[0] == '-' || *out_name)
            return false;
        else
            *out_name = arg;
    }
    return *out_name != NULL;
}

int cli_revoke(const struct cli_call *call)
{
    const char *name, *text;
    enum acme_revocation_reason reason = ACME_REVOKE_UNSPECIFIED;
    struct buf path = {0};
    int code = CLI_EXIT_USAGE;
    if (!revoke_read(call, &name, &text)) {
        fprintf(call->err, "portico revoke: takes one name, and `--reason REASON` where wanted\n");
        return code;
    }
    if (text && !acme_revocation_reason_from_text(slice_str(text), &reason)) {
        fprintf(call->err,
                "portico revoke: `%.64s` is no reason; CAs take unspecified, keyCompromise, superseded, "
                "cessationOfOperation\n",
                text);
        return code;
    }
    buf_append_str(&path, "/revoke");
    if (follow_query_name(call, "revoke", &path, name)) {
        follow_query(&path, '&', "reason", slice_str(acme_revocation_reason_text(reason)));
        code = follow_command(call, "revoke", buf_slice(&path), FOLLOW_ENDED);
    }
    buf_cleanup(&path);
    return code;
}
