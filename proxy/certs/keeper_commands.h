/* keeper_commands: what a person asks of the keeper of a running process, over the control socket (core/commands.h): a new
 * certificate now, a revocation, changes of the account, a rehearsal at the staging CA.
 *
 * A command is begun at once and goes on by itself; whoever began it looks at it by its id as often as they like, which
 * costs nothing and holds no connection open. An id says that a command was heard; a revocation is QUEUED until the wish is
 * stored, and only from then on does a process that dies not forget it. A command that has ended is remembered until LIMIT_COMMANDS newer ones have
 * been begun. Control thread. Only the process that may write carries commands out. */
#ifndef CERTS_KEEPER_COMMANDS_H
#define CERTS_KEEPER_COMMANDS_H

#include "acme/revoke.h"
#include "certs/keeper.h"

enum keeper_command_kind {
    KEEPER_RENEW,
    KEEPER_REVOKE, /* ACME-120: 0 and 4 once the replacement is served, 1 at once and by the key, 5 without a replacement */
    KEEPER_ACCOUNT_UPDATE,     /* ACME_EMAIL is told to the CA again */
    KEEPER_ACCOUNT_ROLLOVER,   /* a new account key; ACME-36 */
    KEEPER_ACCOUNT_DEACTIVATE, /* for ever; the next order makes a new account */
    KEEPER_DRY_RUN /* every name is ordered at the CA's staging directory; nothing stored or served changes */
};

/* Borrowed for the call. */
struct keeper_command_spec {
    enum keeper_command_kind kind;
    struct slice name;                  /* as in the configuration */
    bool force;                         /* RENEW: the CA's Retry-After is passed over too */
    enum acme_revocation_reason reason; /* REVOKE */
    bool fallback;                      /* ACCOUNT_*: the account at ACME_FALLBACK */
    struct slice directory;             /* DRY_RUN: empty for that of the CA's family */
};

enum keeper_command_state {
    KEEPER_COMMAND_QUEUED,  /* nothing has happened so far */
    KEEPER_COMMAND_WAITING, /* for a time that the text tells */
    KEEPER_COMMAND_RUNNING,
    KEEPER_COMMAND_DONE,
    KEEPER_COMMAND_FAILED
};

/* "queued", "waiting", ... A literal. */
const char *keeper_command_state_text(enum keeper_command_state state);

/* Valid until the loop turns. */
struct keeper_command_view {
    enum keeper_command_state state;
    struct slice text; /* how it stands, or what became of it, for a person: lines, each with its end */
};

/* Begins; returns its id, never 0. 0: it cannot be, and *out_refusal has a sentence that says why. */
uint64_t keeper_command_begin(struct keeper *keeper, const struct keeper_command_spec *spec, struct buf *out_refusal);
/* False: there is no such command, or it is forgotten. */
bool keeper_command_look(struct keeper *keeper, uint64_t id, struct keeper_command_view *out_view);

/* What is known of the accounts, for a person: lines. Empty where there is none. */
void keeper_accounts_write(const struct keeper *keeper, struct buf *out);

#endif
