/* commands: the pages of the admin endpoint that have the keeper do something (certs/keeper_commands.h). Control thread.
 *
 *   POST /renew?name=NAME[&force=1]            begins, as do the next three
 *   POST /revoke?name=NAME[&reason=REASON]     REASON: unspecified, keyCompromise, superseded, cessationOfOperation
 *   POST /account/change?to=CHANGE[&fallback=1]  CHANGE: update, rollover, deactivate
 *   POST /dry-run[?directory=URL]
 *   GET  /command?id=ID                        how it stands
 *   GET  /account                              what is known of the accounts
 *
 * All but the last answer at once and in the same form, so that a connection that breaks, or a person who leaves, loses nothing: the first
 * line has id and state with a tab between them, what follows is for a person.
 *
 *   81604378625	running
 *   a.example: is ordered at https://ca.example/directory (poll-authz)
 *
 * 400: the query makes no sense; 409: it cannot be done now, or not with this name; 404: no such command, or forgotten. */
#ifndef CORE_COMMANDS_H
#define CORE_COMMANDS_H

#include "core/admin.h"

struct keeper;

/* keeper: may be NULL. */
void commands_renew(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer);
void commands_revoke(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer);
void commands_account(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer);
void commands_dry_run(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer);
void commands_show_account(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer);
void commands_look(struct keeper *keeper, const struct admin_request *request, struct admin_answer *answer);

/* The value of a parameter of a target's query, without its escapes (RFC 3986 §2.1), appended. False: it is not there, or not
 * well formed. */
bool commands_query(struct slice target, const char *key, struct buf *out);

#endif
