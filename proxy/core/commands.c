#include "core/commands.h"

#include "certs/keeper_commands.h"

/* ---- the query ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = slice_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool query_decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c <= ' ' || (unsigned char)c >= 0x7f)
            return false;
        buf_append_char(out, c);
    }
    return true;
}

bool commands_query(struct slice target, const char *key, struct buf *out)
{
    struct slice query = target, path = slice_split(&query, '?');
    (void)path;
    while (query.len) {
        struct slice value = slice_split(&query, '&'), name = slice_split(&value, '=');
        if (slice_eq(name, slice_str(key)))
            return query_decode(value, out);
    }
    return false;
}

/* ---- answers ---- */

static void answer_refuse(struct admin_answer *answer, unsigned status, const char *sentence)
{
    answer->status = status;
    buf_append_str(&answer->body, sentence);
    buf_append_char(&answer->body, '\n');
}

static void answer_with(struct keeper *keeper, uint64_t id, struct admin_answer *answer)
{
    struct keeper_command_view view;
    if (!keeper || !keeper_command_look(keeper, id, &view)) {
        answer_refuse(answer, 404, "there is no such command, or it has been forgotten since");
        return;
    }
    buf_append_u64(&answer->body, id);
    buf_printf(&answer->body, "\t%s\n", keeper_command_state_text(view.state));
    buf_append_slice(&answer->body, view.text);
}

static void answer_begin(struct keeper *keeper, const struct keeper_command_spec *spec, struct admin_answer *answer)
{
    struct buf refusal = {0};
    uint64_t id = 0;
    if (keeper)
        id = keeper_command_begin(keeper, spec, &refusal);
    else
        buf_append_str(&refusal, "the process is starting: ask again in a moment");
    if (id)
        answer_with(keeper, id, answer);
    else
        answer_refuse(answer, 409, buf_cstr(&refusal));
    buf_cleanup(&refusal);
}

/* ---- pages ---- */

static bool query_is_set(struct slice target, const char *key)
{
    struct buf value = {0};
    bool set = commands_query(target, key, &value) && slice_eq(buf_slice(&value), SLICE_LIT("1"));
    buf_cleanup(&value);
    return set;
}

/* Of a command that needs a name. */
static void answer_begin_named(struct keeper *keeper, struct slice target, struct keeper_command_spec *spec,
                               struct admin_answer *answer)
{
    struct buf name = {0};
    if (commands_query(target, "name", &name)) {
        spec->name = buf_slice(&name);
        answer_begin(keeper, spec, answer);
    } else {
        answer_refuse(answer, 400, "which name? ?name=NAME");
    }
    buf_cleanup(&name);
}

void commands_renew(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    struct slice target = request->head->target;
    struct keeper_command_spec spec = {.kind = KEEPER_RENEW, .force = query_is_set(target, "force")};
    answer_begin_named(keeper, target, &spec, answer);
}

void commands_revoke(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    struct slice target = request->head->target;
    struct buf reason = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_REVOKE, .reason = ACME_REVOKE_UNSPECIFIED};
    if (commands_query(target, "reason", &reason) &&
        !acme_revocation_reason_from_text(buf_slice(&reason), &spec.reason))
        answer_refuse(answer, 400, "the reason is one of unspecified, keyCompromise, superseded, cessationOfOperation");
    else
        answer_begin_named(keeper, target, &spec, answer);
    buf_cleanup(&reason);
}

static bool account_change_of(struct slice text, enum keeper_command_kind *out_kind)
{
    if (slice_eq(text, SLICE_LIT("update")))
        *out_kind = KEEPER_ACCOUNT_UPDATE;
    else if (slice_eq(text, SLICE_LIT("rollover")))
        *out_kind = KEEPER_ACCOUNT_ROLLOVER;
    else if (slice_eq(text, SLICE_LIT("deactivate")))
        *out_kind = KEEPER_ACCOUNT_DEACTIVATE;
    else
        return false;
    return true;
}

void commands_account(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    struct slice target = request->head->target;
    struct buf change = {0};
    struct keeper_command_spec spec = {.fallback = query_is_set(target, "fallback")};
    if (commands_query(target, "to", &change) && account_change_of(buf_slice(&change), &spec.kind))
        answer_begin(keeper, &spec, answer);
    else
        answer_refuse(answer, 400, "which change? ?to=update, rollover or deactivate");
    buf_cleanup(&change);
}

void commands_dry_run(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    struct buf directory = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_DRY_RUN};
    if (commands_query(request->head->target, "directory", &directory))
        spec.directory = buf_slice(&directory);
    answer_begin(keeper, &spec, answer);
    buf_cleanup(&directory);
}

void commands_show_account(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    if (keeper)
        keeper_accounts_write(keeper, &answer->body);
    if (answer->body.len == 0)
        buf_append_str(&answer->body, "no name is ordered from a CA here, so there is no account\n");
}

void commands_look(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    struct buf text = {0};
    uint64_t id = 0;
    if (commands_query(request->head->target, "id", &text) && slice_decimal(buf_slice(&text), UINT64_MAX, &id))
        answer_with(keeper, id, answer);
    else
        answer_refuse(answer, 400, "which command? /command?id=ID");
    buf_cleanup(&text);
}
