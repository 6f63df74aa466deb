/* portico healthcheck: one request to the admin endpoint, or to the control socket where there is none. */
#include "cli/cli.h"

#include "cli/ask.h"

enum { HEALTHCHECK_MS = 2000, HEALTHCHECK_ANSWER_BYTES = 1024 };

static bool is_healthy(const struct ask *ask, const struct config *config)
{
    const struct config_listen *listen = &config->listen.admin;
    bool known = listen->kind == CONFIG_LISTEN_UNIX || (listen->kind == CONFIG_LISTEN_TCP && listen->port != 0);
    struct answer answer;
    bool answered = known ? ask_listener(ask, listen, &answer) : ask_control(ask, config->storage, true, &answer);
    if (answered && answer.status != 200)
        ask_complain(ask, known ? listen->text.ptr : config->storage.ptr, &answer);
    bool healthy = answered && answer.status == 200;
    answer_cleanup(&answer);
    return healthy;
}

int cli_healthcheck(const struct cli_call *call)
{
    bool ready;
    struct ask ask = {.err = call->err,
                      .command = "healthcheck",
                      .method = "GET",
                      .deadline_ms = ask_now_ms() + HEALTHCHECK_MS,
                      .max_bytes = HEALTHCHECK_ANSWER_BYTES};
    struct config *config;
    int refused = cli_flag_or_nothing(call, "healthcheck", "--ready", &ready);
    if (refused)
        return refused;
    ask.path = ready ? "/readyz" : "/livez";
    config = cli_load(call, config_load_admin);
    if (!config)
        return CLI_EXIT_FATAL;
    bool healthy = is_healthy(&ask, config);
    config_unref(config);
    return healthy ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}
