#include "cli/follow.h"

#include "cli/ask.h"
#include "cli/print.h"
#include "config/domain_name.h"

#include <time.h>

enum { FOLLOW_ASK_MS = 10000, FOLLOW_PAUSE_MS = 200, FOLLOW_ANSWER_BYTES = 8 * 1024 * 1024 };

/* ---- paths ---- */

void follow_query(struct buf *path, char before, const char *key, struct slice value)
{
    buf_append_char(path, before);
    buf_append_str(path, key);
    buf_append_char(path, '=');
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~*:/", c));
        if (plain)
            buf_append_char(path, (char)c);
        else
            buf_printf(path, "%%%02X", c);
    }
}

bool follow_query_name(const struct cli_call *call, const char *command, struct buf *path, const char *argument)
{
    struct arena arena = {0};
    struct config_name name;
    const char *why = domain_name_parse(&arena, slice_str(argument), &name);
    if (why)
        fprintf(call->err, "portico %s: `%.256s` is no name: it %s\n", command, argument, why);
    else
        follow_query(path, '?', "name", name.text);
    arena_cleanup(&arena);
    return !why;
}

/* ---- one question ---- */

struct follow {
    const struct cli_call *call;
    const char *command;
    const struct config *config;
};

/* False: it has been said why. What is refused is refused in a sentence that needs no more. */
static bool follow_ask(const struct follow *follow, const char *method, const char *path, struct answer *out_answer)
{
    struct ask ask = {.err = follow->call->err,
                      .command = follow->command,
                      .method = method,
                      .path = path,
                      .deadline_ms = ask_now_ms() + FOLLOW_ASK_MS,
                      .max_bytes = FOLLOW_ANSWER_BYTES};
    if (!ask_control(&ask, follow->config->storage, false, out_answer))
        return false;
    if (out_answer->status == 200)
        return true;
    struct slice rest = out_answer->body, line = slice_split(&rest, '\n');
    if (line.len && out_answer->status >= 400 && out_answer->status < 500) {
        fprintf(ask.err, "portico %s: ", follow->command);
        print_escaped(ask.err, line);
        putc('\n', ask.err);
    } else {
        ask_complain(&ask, follow->config->storage.ptr, out_answer);
    }
    return false;
}

static void print_lines(FILE *file, struct slice text)
{
    while (text.len) {
        print_escaped(file, slice_split(&text, '\n'));
        putc('\n', file);
    }
    fflush(file);
}

/* ---- a command ---- */

/* How it stands, of one answer. */
struct standing {
    struct slice id, state, text;
};

static struct standing standing_of(struct slice body)
{
    struct standing standing;
    struct slice line = slice_split(&body, '\n');
    standing.id = slice_split(&line, '\t');
    standing.state = line;
    standing.text = body;
    return standing;
}

static bool standing_is(const struct standing *standing, const char *state)
{
    return slice_eq(standing->state, slice_str(state));
}

static void follow_pause(void)
{
    struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_MS * 1000000L};
    nanosleep(&pause, NULL);
}

/* Says what is new; true where there is no more to follow. */
static bool follow_tell(const struct follow *follow, const struct standing *now, enum follow_until until,
                        struct buf *shown)
{
    if (!slice_eq(now->text, buf_slice(shown))) {
        print_lines(follow->call->out, now->text);
        shown->len = 0;
        buf_append_slice(shown, now->text);
    }
    if (standing_is(now, "done") || standing_is(now, "failed"))
        return true;
    return until == FOLLOW_BEGUN && !standing_is(now, "queued");
}

static int follow_run(const struct follow *follow, struct slice path, enum follow_until until)
{
    struct buf shown = {0}, next = {0};
    struct answer answer;
    bool over = false, well = false;
    buf_append_slice(&next, path);
    const char *method = "POST";
    do {
        if (!follow_ask(follow, method, buf_cstr(&next), &answer)) {
            answer_cleanup(&answer);
            break;
        }
        struct standing now = standing_of(answer.body);
        over = follow_tell(follow, &now, until, &shown);
        well = over && !standing_is(&now, "failed");
        next.len = 0;
        buf_append_str(&next, "/command");
        follow_query(&next, '?', "id", now.id);
        method = "GET";
        answer_cleanup(&answer);
        if (!over)
            follow_pause();
    } while (!over);
    buf_cleanup(&next);
    buf_cleanup(&shown);
    return well ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}

int follow_command(const struct cli_call *call, const char *command, struct slice path, enum follow_until until)
{
    struct config *config = cli_load(call, config_load_admin);
    if (!config)
        return CLI_EXIT_CONFIG;
    struct follow follow = {call, command, config};
    int code = follow_run(&follow, path, until);
    config_unref(config);
    return code;
}

int follow_show(const struct cli_call *call, const char *command, const char *path)
{
    struct config *config = cli_load(call, config_load_admin);
    if (!config)
        return CLI_EXIT_CONFIG;
    struct follow follow = {call, command, config};
    struct answer answer;
    bool answered = follow_ask(&follow, "GET", path, &answer);
    if (answered)
        print_lines(call->out, answer.body);
    answer_cleanup(&answer);
    config_unref(config);
    return answered ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}
