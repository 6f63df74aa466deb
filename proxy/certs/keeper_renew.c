#include "certs/keeper_commands_internal.h"

static uint32_t num_failed(const struct keeper_name *name)
{
    uint32_t num = 0;
    for (size_t i = 0; i < KEEPER_NUM_CLASSES; i++)
        num += name->attempts.num_failed[i];
    return num;
}

/* ---- how a line stands ---- */

/* "a.example", or "a.example (rsa2048)" where the name has two certificates. */
static void line_write_name(const struct keeper_name *name, struct buf *out)
{
    buf_append_slice(out, name->text);
    if (name->other)
        buf_printf(out, " (%s)", key_type_name(name->key_type));
}

static enum keeper_command_state line_write_done(const struct keeper_name *name, struct buf *out)
{
    char until[CLOCK_TEXT_BYTES];
    line_write_name(name, out);
    buf_printf(out, ": certificate %s of %s, until %s, is served\n", name->cert->serial, name->cert->issuer,
               clock_rfc3339(name->cert->not_after_s * 1000, until));
    return KEEPER_COMMAND_DONE;
}

static enum keeper_command_state line_write_failed(const struct keeper_name *name, struct buf *out)
{
    line_write_name(name, out);
    buf_append_str(out, ": no new certificate: ");
    buf_append_slice(out, buf_slice(&name->state.problem_sentence));
    buf_append_char(out, '\n');
    return KEEPER_COMMAND_FAILED;
}

static enum keeper_command_state line_write_gone(struct slice record, const char *why, struct buf *out)
{
    buf_append_slice(out, record);
    buf_printf(out, ": no new certificate: %s\n", why);
    return KEEPER_COMMAND_FAILED;
}

static enum keeper_command_state line_write_running(const struct keeper_name *name, struct buf *out)
{
    struct slice directory = issuer_directory(&name->keeper->issuers[name->rank]);
    line_write_name(name, out);
    buf_printf(out, ": is ordered at %.*s (%s)\n", (int)directory.len, directory.ptr,
               name->order ? acme_order_step(name->order) : "served soon");
    return KEEPER_COMMAND_RUNNING;
}

static enum keeper_command_state line_write_waiting(const struct keeper_name *name, int64_t now_ms, struct buf *out)
{
    char next[CLOCK_TEXT_BYTES];
    line_write_name(name, out);
    if (!name->keeper->lists_readable) {
        buf_append_str(out, ": is ordered when PORTICO_STORAGE can be read; `portico status` says what is wrong\n");
        return KEEPER_COMMAND_WAITING;
    }
    if (name->next_attempt_ms <= now_ms) {
        buf_append_str(out, ": is about to be ordered\n");
        return KEEPER_COMMAND_QUEUED;
    }
    buf_printf(out, ": is ordered at %s, since ", clock_rfc3339(name->next_attempt_ms, next));
    if (name->paced_by != LEDGER_UNKNOWN)
        buf_printf(out, "the CA allows no more until then (%s)\n", ledger_limit_text(name->paced_by));
    else if (name->quarantine.record.len)
        buf_append_str(out, "one that was issued does not work here and is tried until then; `--force` orders now\n");
    else
        buf_append_str(out, "the CA asked to wait until then; `--force` asks it all the same\n");
    return KEEPER_COMMAND_WAITING;
}

/* Served by every worker, not only on its way to them. */
static bool line_is_served(const struct keeper_name *name)
{
    return name_has_issued(name) && !name->save.cert && list_empty(&name->announced);
}

static enum keeper_command_state line_write(struct keeper *keeper, const struct renew_line *line, struct buf *out)
{
    struct keeper_name *name = map_get(&keeper->by_name, buf_slice(&line->record));
    if (!name || name->kind != NAME_ACME)
        return line_write_gone(buf_slice(&line->record), "the name has left the configuration", out);
    if (name->attempts.num_issued != line->num_issued)
        return line_is_served(name) ? line_write_done(name, out) : line_write_running(name, out);
    if (num_failed(name) != line->num_failed)
        return line_write_failed(name, out);
    if (!keeper->writer || keeper->stopped)
        return line_write_gone(name->text, "this process orders no more", out);
    return name->order ? line_write_running(name, out) : line_write_waiting(name, keeper_wall_ms(keeper), out);
}

static void line_update(struct keeper *keeper, struct renew_line *line)
{
    if (command_state_is_end(line->state))
        return;
    line->text.len = 0;
    line->state = line_write(keeper, line, &line->text);
}

/* ---- the command ---- */

void renew_look(struct keeper_command *command)
{
    command->text.len = 0;
    command->state = KEEPER_COMMAND_DONE;
    for (size_t i = 0; i < command->num_lines; i++) {
        line_update(command->keeper, &command->lines[i]);
        buf_append_slice(&command->text, buf_slice(&command->lines[i].text));
        command->state = command_state_join(command->state, command->lines[i].state);
    }
}

static void renew_add(struct keeper_command *command, struct keeper_name *name)
{
    struct renew_line *line = &command->lines[command->num_lines++];
    *line = (struct renew_line){.num_issued = name->attempts.num_issued, .num_failed = num_failed(name)};
    buf_append_slice(&line->record, name->record);
    name->next_attempt_ms = 0; /* that of before is not waited for */
}

bool renew_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal)
{
    struct keeper_name *name = command_name_of(command->keeper, spec->name, out_refusal);
    if (!name)
        return false;
    renew_add(command, name);
    if (name->other)
        renew_add(command, name->other);
    if (keeper_renew(command->keeper, name->text, spec->force, NULL) != KEEPER_RENEWS) {
        buf_printf(out_refusal, "%.*s cannot be ordered by this process; `portico status` says why",
                   (int)name->text.len, name->text.ptr);
        return false;
    }
    renew_look(command);
    return true;
}

void renew_cleanup(struct keeper_command *command)
{
    for (size_t i = 0; i < command->num_lines; i++) {
        buf_cleanup(&command->lines[i].record);
        buf_cleanup(&command->lines[i].text);
    }
}
