/* What the kinds of commands share: keeper_commands.c (their life and their views), keeper_renew.c (renew). Control thread. */
#ifndef CERTS_KEEPER_COMMANDS_INTERNAL_H
#define CERTS_KEEPER_COMMANDS_INTERNAL_H

#include "certs/keeper_commands.h"
#include "certs/keeper_internal.h"

/* One line of certificates that is to be renewed, by its record: a reload may take it away. */
struct renew_line {
    struct buf record;
    uint32_t num_issued, num_failed; /* when it was asked for */
    enum keeper_command_state state;
    struct buf text; /* of one that has ended */
};

struct keeper_command {
    struct list node; /* in keeper->commands, the newest last */
    struct keeper *keeper;
    uint64_t id;
    enum keeper_command_kind kind;
    enum keeper_command_state state;
    struct buf text; /* as it stood when it was looked at last */

    struct renew_line lines[CONFIG_KEY_TYPES]; /* of RENEW */
    size_t num_lines;
};

static inline bool command_state_is_end(enum keeper_command_state state)
{
    return state == KEEPER_COMMAND_DONE || state == KEEPER_COMMAND_FAILED;
}

/* keeper_renew.c. False, and why: it cannot be. */
bool renew_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal);
/* Writes its text and its state anew. */
void renew_look(struct keeper_command *command);
void renew_cleanup(struct keeper_command *command);
/* The name's own line, whose certificates a CA signs; or NULL, and why there is none. */
struct keeper_name *command_name_of(struct keeper *keeper, struct slice text, struct buf *out_refusal);

#endif
