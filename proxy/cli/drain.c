/* portico drain: asks the running process to drain, over its control socket. */
#include "cli/cli.h"

#include "cli/ask.h"

enum { DRAIN_ASK_MS = 5000, DRAIN_ANSWER_BYTES = 4096 };

static bool ask_drain(const struct ask *ask, const struct config *config)
{
    struct answer answer;
    bool answered = ask_control(ask, config->storage, false, &answer);
    if (answered && answer.status != 200)
        ask_complain(ask, config->storage.ptr, &answer);
    bool draining = answered && answer.status == 200;
    answer_cleanup(&answer);
    return draining;
}

int cli_drain(const struct cli_call *call)
{
    struct ask ask = {.err = call->err,
                      .command = "drain",
                      .method = "POST",
                      .path = "/drain",
                      .deadline_ms = ask_now_ms() + DRAIN_ASK_MS,
                      .max_bytes = DRAIN_ANSWER_BYTES};
    struct config *config;
    int refused = cli_no_args(call, "drain");
    if (refused)
        return refused;
    config = cli_load(call, config_load_admin);
    if (!config)
        return CLI_EXIT_CONFIG;
    bool draining = ask_drain(&ask, config);
    config_unref(config);
    return draining ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}
