/* portico status: how the names stand, as a table or as JSON. */
#include "cli/cli.h"

#include "cli/ask.h"
#include "cli/status_table.h"
#include "cli/terminal.h"

#include <stdlib.h>

enum { STATUS_ASK_MS = 10000 };

/* The control socket; where nobody answers there, the admin listener. Says what failed of both. */
static bool ask_status(const struct ask *ask, const struct config *config, struct answer *out_answer)
{
    char *said = NULL;
    size_t len = 0;
    struct ask quiet = *ask;
    quiet.err = open_memstream(&said, &len);
    if (!quiet.err)
        return ask_control(ask, config->storage, true, out_answer);
    bool answered = ask_control(&quiet, config->storage, true, out_answer) ||
                    (answer_cleanup(out_answer), ask_listener(&quiet, &config->listen.admin, out_answer));
    fclose(quiet.err);
    if (!answered)
        fputs(said, ask->err);
    free(said);
    return answered;
}

/* Of one page: false where there is none, which has been said. */
static bool fetch(const struct cli_call *call, const struct config *config, const char *path, struct answer *out_answer)
{
    struct ask ask = {.err = call->err,
                      .command = "status",
                      .method = "GET",
                      .path = path,
                      .deadline_ms = ask_now_ms() + STATUS_ASK_MS,
                      .max_bytes = ASK_STATUS_BYTES};
    bool answered = ask_status(&ask, config, out_answer);
    if (answered && out_answer->status != 200)
        ask_complain(&ask, config->storage.ptr, out_answer);
    return answered && out_answer->status == 200;
}

static bool show_json(const struct cli_call *call, const struct config *config)
{
    struct answer answer;
    bool answered = fetch(call, config, "/status", &answer);
    if (answered)
        fwrite(answer.body.ptr, 1, answer.body.len, call->out);
    answer_cleanup(&answer);
    return answered;
}

/* The lines say how it stands in either case. */
static int run_status(const struct cli_call *call, const struct config *config, bool json)
{
    struct answer answer;
    struct terminal terminal = terminal_of(call);
    bool shown = fetch(call, config, "/status/lines", &answer), fine = shown && status_is_fine(answer.body);
    if (shown && json)
        shown = show_json(call, config);
    else if (shown)
        status_table_print(call->out, answer.body,
                           (struct status_look){.columns = terminal.columns, .color = terminal.color});
    answer_cleanup(&answer);
    return shown && fine ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}

int cli_status(const struct cli_call *call)
{
    bool json;
    struct config *config;
    int refused = cli_flag_or_nothing(call, "status", "--json", &json);
    if (refused)
        return refused;
    config = cli_load(call, config_load_admin);
    if (!config)
        return CLI_EXIT_CONFIG;
    int code = run_status(call, config, json);
    config_unref(config);
    return code;
}
