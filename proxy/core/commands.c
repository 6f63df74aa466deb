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

void commands_renew(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer)
{
    struct buf name = {0}, force = {0};
    struct slice target = request->head->target;
    bool forced = commands_query(target, "force", &force) && slice_eq(buf_slice(&force), SLICE_LIT("1"));
    struct keeper_command_spec spec = {.kind = KEEPER_RENEW, .force = forced};
    if (commands_query(target, "name", &name)) {
        spec.name = buf_slice(&name);
        answer_begin(keeper, &spec, answer);
    } else {
        answer_refuse(answer, 400, "which name? /renew?name=NAME");
    }
    buf_cleanup(&name);
    buf_cleanup(&force);
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
