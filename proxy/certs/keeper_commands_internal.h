/* What the kinds of commands share: keeper_commands.c (their life and their views), keeper_renew.c, keeper_revoke.c,
 * keeper_account.c, keeper_dry_run.c. Control thread. */
#ifndef CERTS_KEEPER_COMMANDS_INTERNAL_H
#define CERTS_KEEPER_COMMANDS_INTERNAL_H

#include "acme/account_change.h"
#include "certs/keeper_commands.h"
#include "certs/keeper_internal.h"

/* One line of certificates that is to be renewed, by its record: a reload may take it away. */
struct renew_line {
    struct buf record;
    uint32_t num_issued, num_failed; /* when it was asked for */
    enum keeper_command_state state;
    struct buf text; /* of one that has ended */
};

/* A certificate that is to be revoked, by its serial. */
struct revoke_line {
    struct buf serial;
    enum keeper_command_state state;
    struct buf text;
};

struct dry_run;

struct keeper_command {
    struct list node; /* in keeper->commands, the newest last */
    struct keeper *keeper;
    uint64_t id;
    enum keeper_command_kind kind;
    enum keeper_command_state state;
    struct buf text; /* as it stood when it was looked at last */

    struct renew_line lines[CONFIG_KEY_TYPES]; /* of RENEW, and of REVOKE where there is a replacement */
    size_t num_lines;

    struct revoke_line revokes[CONFIG_KEY_TYPES]; /* of REVOKE */
    size_t num_revokes;
    enum acme_revocation_reason reason;
    struct buf name; /* of REVOKE */
    bool begun_said; /* of REVOKE: command_begun */

    struct acme_account_change change; /* of ACCOUNT_* */
    enum issuer_rank rank;

    struct dry_run *dry; /* of DRY_RUN; NULL when it has ended */
};

static inline bool command_state_is_end(enum keeper_command_state state)
{
    return state == KEEPER_COMMAND_DONE || state == KEEPER_COMMAND_FAILED;
}

/* Of both: what has not ended yet, further on first; at the end, a failure. */
static inline enum keeper_command_state command_state_join(enum keeper_command_state a, enum keeper_command_state b)
{
    if (command_state_is_end(a) && command_state_is_end(b))
        return a == KEEPER_COMMAND_FAILED ? a : b;
    if (command_state_is_end(a))
        return b;
    return command_state_is_end(b) || a > b ? a : b;
}

/* Of each kind: begins (false, and why: it cannot be), writes text and state anew, ends.
 * keeper_renew.c */
bool renew_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal);
void renew_look(struct keeper_command *command);
void renew_cleanup(struct keeper_command *command);
/* keeper_revoke.c */
bool revoke_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal);
void revoke_look(struct keeper_command *command);
void revoke_cleanup(struct keeper_command *command);
/* keeper_account.c */
bool change_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal);
void change_look(struct keeper_command *command);
void change_cleanup(struct keeper_command *command);
/* The engines go, and with them what was asked of them. */
void change_engines_gone(struct keeper_command *command);

/* keeper_dry_run.c */
bool dry_run_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal);
void dry_run_look(struct keeper_command *command);
void dry_run_cleanup(struct keeper_command *command);
/* It cannot go on: says why. */
void dry_run_end(struct keeper_command *command, const char *why);

/* keeper_commands.c */
/* The event of that name. */
void command_log_begun(const struct keeper_command *command, struct slice name, bool force);
/* The name's own line, whose certificates a CA signs; or NULL, and why there is none. */
struct keeper_name *command_name_of(struct keeper *keeper, struct slice text, struct buf *out_refusal);

#endif
