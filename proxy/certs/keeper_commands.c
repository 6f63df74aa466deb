#include "certs/keeper_commands_internal.h"

const char *keeper_command_state_text(enum keeper_command_state state)
{
    switch (state) {
    case KEEPER_COMMAND_QUEUED: return "queued";
    case KEEPER_COMMAND_WAITING: return "waiting";
    case KEEPER_COMMAND_RUNNING: return "running";
    case KEEPER_COMMAND_DONE: return "done";
    case KEEPER_COMMAND_FAILED: break;
    }
    return "failed";
}

/* ---- what may begin ---- */

/* Only whoever may write orders. */
static const char *keeper_idle_reason(const struct keeper *keeper)
{
    if (keeper->closing || keeper->stopped)
        return "this process drains and orders nothing any more: ask the one that comes next";
    if (!keeper->loaded)
        return "the process is starting and has not read its storage yet: ask again in a moment";
    if (keeper->writer)
        return NULL;
    return keeper->writing == STORE_FENCED
               ? "this process is a standby: another one may write to PORTICO_STORAGE and orders; ask that one"
               : "this process may not write to PORTICO_STORAGE and orders nothing; `portico status` says why";
}

struct keeper_name *command_name_of(struct keeper *keeper, struct slice text, struct buf *out_refusal)
{
    struct keeper_name *name = map_get(&keeper->by_name, text);
    if (!name || name->second)
        buf_printf(out_refusal, "%.*s is none of the names of PORTICO_DOMAINS", (int)text.len, text.ptr);
    else if (name->kind == NAME_INTERNAL)
        buf_printf(out_refusal, "the certificate of %.*s is signed by the local CA, and renewed by itself",
                   (int)text.len, text.ptr);
    else if (name->kind == NAME_OWN)
        buf_printf(out_refusal, "%.*s is served with a certificate of your own: replace its files", (int)text.len,
                   text.ptr);
    else if (name->unreadable)
        buf_printf(out_refusal,
                   "the stored certificate of %.*s cannot be read, and nothing is ordered in its place: restore the "
                   "record, or remove it",
                   (int)text.len, text.ptr);
    else
        return name;
    return NULL;
}

/* ---- life ---- */

static void command_free(struct keeper_command *command)
{
    list_remove(&command->node);
    command->keeper->num_commands--;
    switch (command->kind) {
    case KEEPER_RENEW: renew_cleanup(command); break;
    case KEEPER_REVOKE: revoke_cleanup(command); break;
    case KEEPER_ACCOUNT_UPDATE:
    case KEEPER_ACCOUNT_ROLLOVER:
    case KEEPER_ACCOUNT_DEACTIVATE: change_cleanup(command); break;
    case KEEPER_DRY_RUN: dry_run_cleanup(command); break;
    }
    buf_cleanup(&command->text);
    mem_free(command);
}

void keeper_commands_engines_gone(struct keeper *keeper)
{
    keeper_revocations_engines_gone(keeper);
    LIST_EACH(&keeper->commands, node)
    {
        struct keeper_command *command = container_of(node, struct keeper_command, node);
        change_engines_gone(command);
        dry_run_end(command, "the configuration was replaced meanwhile: begin again");
    }
}

void keeper_commands_stop(struct keeper *keeper)
{
    keeper_revocations_free(keeper);
    LIST_EACH(&keeper->commands, node)
    dry_run_end(container_of(node, struct keeper_command, node), "this process orders no more");
}

void keeper_commands_free(struct keeper *keeper)
{
    keeper_revocations_free(keeper);
    LIST_EACH(&keeper->commands, node)
    command_free(container_of(node, struct keeper_command, node));
}

/* The oldest that has ended makes room. */
static bool commands_make_room(struct keeper *keeper)
{
    if (keeper->num_commands < LIMIT_COMMANDS)
        return true;
    LIST_EACH(&keeper->commands, node)
    {
        struct keeper_command *command = container_of(node, struct keeper_command, node);
        if (!command_state_is_end(command->state))
            continue;
        command_free(command);
        return true;
    }
    return false;
}

static void command_update(struct keeper_command *command)
{
    if (command_state_is_end(command->state))
        return;
    switch (command->kind) {
    case KEEPER_RENEW: renew_look(command); break;
    case KEEPER_REVOKE: revoke_look(command); break;
    case KEEPER_ACCOUNT_UPDATE:
    case KEEPER_ACCOUNT_ROLLOVER:
    case KEEPER_ACCOUNT_DEACTIVATE: change_look(command); break;
    case KEEPER_DRY_RUN: dry_run_look(command); break;
    }
}

void keeper_commands_look(struct keeper *keeper)
{
    keeper_revocations_look(keeper);
    LIST_EACH(&keeper->commands, node)
    command_update(container_of(node, struct keeper_command, node));
}

/* ---- for whoever asks ---- */

static const char *command_kind_text(enum keeper_command_kind kind)
{
    switch (kind) {
    case KEEPER_RENEW: break;
    case KEEPER_REVOKE: return "revoke";
    case KEEPER_ACCOUNT_UPDATE: return "account update";
    case KEEPER_ACCOUNT_ROLLOVER: return "account rollover";
    case KEEPER_ACCOUNT_DEACTIVATE: return "account deactivate";
    case KEEPER_DRY_RUN: return "dry-run";
    }
    return "renew";
}

void command_log_begun(const struct keeper_command *command, struct slice name, bool force)
{
    LOG_INFO_EVENT(command->keeper->world.log, "command_begun", LOG_STR("command", command_kind_text(command->kind)),
                   LOG_SLICE("name", name), LOG_BOOL("force", force));
}

static bool command_start(struct keeper_command *command, const struct keeper_command_spec *spec,
                          struct buf *out_refusal)
{
    switch (spec->kind) {
    case KEEPER_RENEW: break;
    case KEEPER_REVOKE: return revoke_begin(command, spec, out_refusal);
    case KEEPER_ACCOUNT_UPDATE:
    case KEEPER_ACCOUNT_ROLLOVER:
    case KEEPER_ACCOUNT_DEACTIVATE: return change_begin(command, spec, out_refusal);
    case KEEPER_DRY_RUN: return dry_run_begin(command, spec, out_refusal);
    }
    return renew_begin(command, spec, out_refusal);
}

uint64_t keeper_command_begin(struct keeper *keeper, const struct keeper_command_spec *spec, struct buf *out_refusal)
{
    const char *idle = keeper_idle_reason(keeper);
    if (!idle && !commands_make_room(keeper))
        idle = "too many commands are under way: ask again when some of them have ended";
    if (idle) {
        buf_append_str(out_refusal, idle);
        return 0;
    }
    struct keeper_command *command = MEM_NEW(struct keeper_command);
    command->keeper = keeper;
    command->kind = spec->kind;
    command->id = ++keeper->last_command;
    list_append(&keeper->commands, &command->node);
    keeper->num_commands++;
    if (!command_start(command, spec, out_refusal)) {
        command_free(command);
        return 0;
    }
    if (command->kind != KEEPER_REVOKE) /* which has begun when its wish is stored */
        command_log_begun(command, spec->name, spec->force);
    return command->id;
}

bool keeper_command_look(struct keeper *keeper, uint64_t id, struct keeper_command_view *out_view)
{
    LIST_EACH(&keeper->commands, node)
    {
        struct keeper_command *command = container_of(node, struct keeper_command, node);
        if (command->id != id)
            continue;
        command_update(command);
        *out_view = (struct keeper_command_view){command->state, buf_slice(&command->text)};
        return true;
    }
    return false;
}

/* The ids of an earlier process mean nothing here. */
void keeper_commands_init(struct keeper *keeper)
{
    list_init(&keeper->commands);
    list_init(&keeper->revocations);
    keeper->last_command = (uint64_t)keeper_random() << 16;
}
