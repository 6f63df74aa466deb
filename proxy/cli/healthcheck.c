/* portico healthcheck: one request to the admin endpoint, or to the control socket where there is none. */
#include "cli/cli.h"

#include "cli/ask.h"
#include "cli/print.h"

enum { HEALTHCHECK_MS = 2000, HEALTHCHECK_ANSWER_BYTES = 1024 };

static bool read_args(const struct cli_call *call, struct ask *ask)
{
    bool ready = call->num_args == 1 && strcmp(call->args[0], "--ready") == 0;
    ask->path = ready ? "/readyz" : "/livez";
    if (call->num_args == 0 || ready)
        return true;
    fprintf(call->err, "portico healthcheck: takes --ready or nothing, but got `%.64s`\n",
            call->args[call->num_args - 1]);
    return false;
}

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
    struct ask ask = {.err = call->err,
                      .command = "healthcheck",
                      .method = "GET",
                      .deadline_ms = ask_now_ms() + HEALTHCHECK_MS,
                      .max_bytes = HEALTHCHECK_ANSWER_BYTES};
    struct config *config;
    struct config_mistakes mistakes = {0};
    if (!read_args(call, &ask))
        return CLI_EXIT_USAGE;
    if (!config_load_admin(call->environment, &config, &mistakes)) {
        print_mistakes(call->err, &mistakes);
        config_mistakes_cleanup(&mistakes);
        return CLI_EXIT_FATAL;
    }
    bool healthy = is_healthy(&ask, config);
    config_unref(config);
    return healthy ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}
