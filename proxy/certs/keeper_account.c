#include "certs/keeper_commands_internal.h"

static enum acme_account_change_kind change_kind(const struct keeper_command *command)
{
    if (command->kind == KEEPER_ACCOUNT_ROLLOVER)
        return ACME_CHANGE_KEY;
    return command->kind == KEEPER_ACCOUNT_DEACTIVATE ? ACME_CHANGE_DEACTIVATE : ACME_CHANGE_CONTACT;
}

static bool command_changes_account(const struct keeper_command *command)
{
    return command->kind == KEEPER_ACCOUNT_UPDATE || command->kind == KEEPER_ACCOUNT_ROLLOVER ||
           command->kind == KEEPER_ACCOUNT_DEACTIVATE;
}

/* ---- what came of it ---- */

static void account_write_done(const struct keeper_command *command, const struct acme_account_view *account,
                               struct buf *out)
{
    if (command->kind == KEEPER_ACCOUNT_DEACTIVATE) {
        buf_append_str(out, "the account is deactivated for ever; the next order makes a new one\n");
        return;
    }
    buf_printf(out, "account %.*s: ", (int)account->url.len, account->url.ptr);
    if (command->kind == KEEPER_ACCOUNT_ROLLOVER)
        buf_printf(out, "its key is a new one, thumbprint %.*s\n", (int)account->thumbprint.len,
                   account->thumbprint.ptr);
    else if (account->contact.len)
        buf_printf(out, "its contact is %.*s\n", (int)account->contact.len, account->contact.ptr);
    else
        buf_append_str(out, "it has no contact\n");
}

static void account_changed(struct acme_account_change *change, const struct problem *problem)
{
    struct keeper_command *command = container_of(change, struct keeper_command, change);
    struct acme_account_view account = acme_account_show(command->keeper->issuers[command->rank].acme);
    command->text.len = 0;
    command->state = problem ? KEEPER_COMMAND_FAILED : KEEPER_COMMAND_DONE;
    if (problem) {
        buf_append_str(&command->text, "the account is as it was: ");
        problem_write_sentence(&command->text, problem);
        buf_append_char(&command->text, '\n');
    } else {
        account_write_done(command, &account, &command->text);
    }
}

/* ---- life ---- */

static bool account_may_begin(const struct keeper_command *command, const struct keeper_issuer *issuer,
                              struct buf *out_refusal)
{
    if (!issuer->acme) {
        buf_append_str(out_refusal, issuer->rank == ISSUER_FALLBACK
                                        ? "there is no account: PORTICO_ACME_FALLBACK is not set"
                                        : "there is no account: no name is ordered from a CA here");
        return false;
    }
    struct acme_account_view account = acme_account_show(issuer->acme);
    if (command->kind == KEEPER_ACCOUNT_ROLLOVER && account.key_given) {
        buf_append_str(out_refusal, "the account's key is given by PORTICO_ACME_ACCOUNT_KEY, which only you can "
                                    "exchange: an exchange here would lock out whoever shares it");
        return false;
    }
    if (!account.url.len) {
        buf_append_str(out_refusal, "there is no account yet: the first order makes one");
        return false;
    }
    return true;
}

bool change_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal)
{
    command->rank = spec->fallback ? ISSUER_FALLBACK : ISSUER_FIRST;
    const struct keeper_issuer *issuer = &command->keeper->issuers[command->rank];
    if (!account_may_begin(command, issuer, out_refusal))
        return false;
    acme_account_change(issuer->acme, &command->change, change_kind(command), account_changed);
    change_look(command);
    return true;
}

void change_look(struct keeper_command *command)
{
    command->text.len = 0;
    command->state = command->change.parked ? KEEPER_COMMAND_WAITING : KEEPER_COMMAND_RUNNING;
    buf_append_str(&command->text,
                   command->change.parked ? "waits for the orders that run to end\n" : "the CA is asked\n");
}

void change_cleanup(struct keeper_command *command)
{
    acme_account_change_cancel(&command->change);
}

void change_engines_gone(struct keeper_command *command)
{
    if (!command_changes_account(command) || command_state_is_end(command->state))
        return;
    command->state = KEEPER_COMMAND_FAILED;
    command->text.len = 0;
    buf_append_str(&command->text, "the configuration was replaced meanwhile, and nothing is known of what the CA did: "
                                   "see `portico account show`, and ask again\n");
}

/* ---- show ---- */

static void show_line(const char *key, struct slice value, struct buf *out)
{
    buf_printf(out, "%-11s", key);
    buf_append_slice(out, value.len ? value : SLICE_LIT("-"));
    buf_append_char(out, '\n');
}

static void show_account(const struct keeper_issuer *issuer, struct buf *out)
{
    struct acme_account_view account = acme_account_show(issuer->acme);
    if (out->len)
        buf_append_char(out, '\n');
    show_line("directory", account.directory_url, out);
    show_line("state", slice_str(account.state), out);
    show_line("account", account.url, out);
    show_line("contact", account.contact, out);
    buf_printf(out, "%-11s%s%s\n", "key", account.key_type ? account.key_type : "-",
               !account.key_given                ? ""
               : issuer->rank == ISSUER_FALLBACK ? ", of PORTICO_ACME_FALLBACK_ACCOUNT_KEY"
                                                 : ", of PORTICO_ACME_ACCOUNT_KEY");
    show_line("thumbprint", account.thumbprint, out);
}

void keeper_accounts_write(const struct keeper *keeper, struct buf *out)
{
    for (size_t i = 0; i < NUM_ISSUERS; i++)
        if (keeper->issuers[i].acme)
            show_account(&keeper->issuers[i], out);
}
