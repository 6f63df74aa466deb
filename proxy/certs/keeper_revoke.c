#include "certs/keeper_commands_internal.h"
#include "certs/revocation_record.h"

#include <openssl/pool.h>

/* STORING -> REPLACING ------> ASKING ------------------> FORGETTING -> (freed)
 *    |       0, 4: until the   until the CA confirms,      the record
 *    |       replacement is    by back-off                 is removed
 *    |       served                  |                        ^
 *    +---- 1, 5: at once ------------+--> 1: REPLACING_AFTER -+
 *                                          until the replacement is served
 *
 * The record revocation/SERIAL lies in the store from STORING to FORGETTING: whoever may write next goes on from there. */
enum revocation_stage {
    REVOCATION_STORING,
    REVOCATION_REPLACING,
    REVOCATION_ASKING,
    REVOCATION_REPLACING_AFTER,
    REVOCATION_FORGETTING
};

struct keeper_revocation {
    struct keeper *keeper;
    struct list node; /* in keeper->revocations */
    struct acme_revocation call;
    struct store_call store_call;
    struct buf name, serial, directory_url, leaf_der; /* as struct revocation_record */
    int64_t not_after_s;
    struct evp_pkey_st *key; /* NULL: the account signs */
    struct backoff backoff;
    enum revocation_stage stage;
    enum acme_revocation_reason reason;
    bool stored, storing, asking;
    bool orphan_said; /* that its CA is none of the configuration's */
};

static const struct slice revocation_prefix = {"revocation/", 11};

static void revocation_look(struct keeper_revocation *revocation);

static bool replaced_first(enum acme_revocation_reason reason)
{
    return reason == ACME_REVOKE_UNSPECIFIED || reason == ACME_REVOKE_SUPERSEDED;
}

static struct keeper_revocation *revocation_find(struct keeper *keeper, struct slice serial)
{
    LIST_EACH(&keeper->revocations, node)
    {
        struct keeper_revocation *revocation = container_of(node, struct keeper_revocation, node);
        if (slice_eq(buf_slice(&revocation->serial), serial))
            return revocation;
    }
    return NULL;
}

/* ---- what is told ---- */

static bool revoke_is_stored(const struct keeper_command *command)
{
    for (size_t i = 0; i < command->num_revokes; i++) {
        const struct revoke_line *line = &command->revokes[i];
        const struct keeper_revocation *revocation = revocation_find(command->keeper, buf_slice(&line->serial));
        if (!command_state_is_end(line->state) && revocation && revocation->stage == REVOCATION_STORING)
            return false;
    }
    return true;
}

/* Not before the store has it: whoever reads that it has begun need not fear that a restart forgets it. */
static void revoke_say_begun(struct keeper_command *command)
{
    if (command->kind != KEEPER_REVOKE || command->begun_said || !revoke_is_stored(command))
        return;
    command->begun_said = true;
    command_log_begun(command, buf_slice(&command->name), false);
}

/* To the commands that wait for it, and have not been told yet. */
static void revocation_tell(const struct keeper_revocation *revocation, enum keeper_command_state state,
                            const char *sentence)
{
    LIST_EACH(&revocation->keeper->commands, node)
    {
        struct keeper_command *command = container_of(node, struct keeper_command, node);
        for (size_t i = 0; i < command->num_revokes; i++) {
            struct revoke_line *line = &command->revokes[i];
            if (!slice_eq(buf_slice(&line->serial), buf_slice(&revocation->serial)) ||
                command_state_is_end(line->state))
                continue;
            line->state = state;
            line->text.len = 0;
            buf_printf(&line->text, "%.*s: certificate %.*s %s\n", (int)revocation->name.len, revocation->name.ptr,
                       (int)revocation->serial.len, revocation->serial.ptr, sentence);
        }
    }
}

static void revocation_write_key(const struct keeper_revocation *revocation, struct buf *out)
{
    buf_append_slice(out, revocation_prefix);
    buf_append_slice(out, buf_slice(&revocation->serial));
}

static void revocation_free(struct keeper_revocation *revocation)
{
    struct store *store = revocation->keeper->world.store;
    list_remove(&revocation->node);
    if (revocation->storing)
        store->ops->cancel(store, &revocation->store_call);
    acme_revoke_cancel(&revocation->call);
    key_free(revocation->key);
    buf_cleanup(&revocation->name);
    buf_cleanup(&revocation->serial);
    buf_cleanup(&revocation->directory_url);
    buf_cleanup(&revocation->leaf_der);
    mem_free(revocation);
}

/* ---- the store ---- */

static void revocation_commit(struct keeper_revocation *revocation, struct slice value,
                              void (*done)(struct store_call *, enum store_result, const struct store_record *, size_t))
{
    struct buf key = {0};
    struct store *store = revocation->keeper->world.store;
    revocation_write_key(revocation, &key);
    struct store_write write = {.key = buf_slice(&key), .value = value};
    revocation->storing = true;
    revocation->store_call.done = done;
    store->ops->commit(store, &write, 1, &revocation->store_call);
    buf_cleanup(&key);
}

static void revocation_forgotten(struct store_call *call, enum store_result result, const struct store_record *records,
                                 size_t num_records)
{
    struct keeper_revocation *revocation = container_of(call, struct keeper_revocation, store_call);
    (void)records, (void)num_records, (void)result; /* one that stays is asked for again, and has been done then */
    revocation->storing = false;
    revocation_free(revocation);
}

static void revocation_forget(struct keeper_revocation *revocation)
{
    revocation->stage = REVOCATION_FORGETTING;
    revocation_commit(revocation, SLICE_NONE, revocation_forgotten);
}

static void revocation_was_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                                  size_t num_records)
{
    struct keeper_revocation *revocation = container_of(call, struct keeper_revocation, store_call);
    char sentence[128];
    (void)records, (void)num_records;
    struct keeper *keeper = revocation->keeper;
    revocation->storing = false;
    revocation->stored = result == STORE_OK;
    if (!revocation->stored && revocation->reason != ACME_REVOKE_KEY_COMPROMISE) {
        snprintf(sentence, sizeof sentence, "is not revoked: the wish could not be stored (%s)",
                 store_result_text(result));
        revocation_tell(revocation, KEEPER_COMMAND_FAILED, sentence);
        revocation_free(revocation);
        return;
    } /* a disclosed key does not wait for a disk */
    revocation->stage = replaced_first(revocation->reason) ? REVOCATION_REPLACING : REVOCATION_ASKING;
    LIST_EACH(&keeper->commands, node)
    revoke_say_begun(container_of(node, struct keeper_command, node));
    revocation_look(revocation);
}

static void revocation_store(struct keeper_revocation *revocation)
{
    struct buf value = {0};
    struct revocation_record record = {.name = buf_slice(&revocation->name),
                                       .serial = buf_slice(&revocation->serial),
                                       .directory_url = buf_slice(&revocation->directory_url),
                                       .leaf_der = buf_slice(&revocation->leaf_der),
                                       .reason = revocation->reason,
                                       .not_after_s = revocation->not_after_s,
                                       .key = revocation->key};
    revocation_record_write(&record, &value);
    revocation_commit(revocation, buf_slice(&value), revocation_was_stored);
    buf_cleanup_secret(&value);
}

/* ---- the CA ---- */

static void revocation_done(struct keeper_revocation *revocation)
{
    LOG_INFO_EVENT(revocation->keeper->world.log, "certificate_revoked",
                   LOG_SLICE("name", buf_slice(&revocation->name)), LOG_SLICE("serial", buf_slice(&revocation->serial)),
                   LOG_STR("reason", acme_revocation_reason_text(revocation->reason)));
    revocation_tell(revocation, KEEPER_COMMAND_DONE, "is revoked");
    if (revocation->reason == ACME_REVOKE_KEY_COMPROMISE) {
        revocation->stage = REVOCATION_REPLACING_AFTER;
        revocation_look(revocation);
    } else {
        revocation_forget(revocation);
    }
}

/* Whether it may be otherwise next time. */
static bool problem_passes(const struct problem *problem)
{
    switch (problem->class) {
    case PROBLEM_TRANSIENT:
    case PROBLEM_LATER:
    case PROBLEM_LOCAL: return true;
    case PROBLEM_ACCOUNT:
    case PROBLEM_PERMANENT:
    case PROBLEM_VALIDATION: break;
    }
    return false;
}

static void revocation_failed(struct keeper_revocation *revocation, const struct problem *problem)
{
    struct buf sentence = {0}, text = {0};
    char at[CLOCK_TEXT_BYTES];
    int64_t now_ms = keeper_wall_ms(revocation->keeper);
    bool passes = problem_passes(problem);
    problem_write_sentence(&sentence, problem);
    LOG_ERROR_EVENT(revocation->keeper->world.log, "certificate_not_revoked",
                    LOG_SLICE("name", buf_slice(&revocation->name)),
                    LOG_SLICE("serial", buf_slice(&revocation->serial)),
                    LOG_STR("reason", acme_revocation_reason_text(revocation->reason)), LOG_BOOL("again", passes),
                    LOG_SLICE("msg", buf_slice(&sentence)));
    buf_append_str(&text, "is not revoked: ");
    buf_append_slice(&text, buf_slice(&sentence));
    if (passes) {
        backoff_failed(&revocation->backoff, problem, now_ms, 0, keeper_random());
        buf_printf(&text, "; the CA is asked again at %s",
                   clock_rfc3339(backoff_next_ms(&revocation->backoff, now_ms, false), at));
    }
    revocation_tell(revocation, KEEPER_COMMAND_FAILED, buf_cstr(&text));
    buf_cleanup(&sentence);
    buf_cleanup(&text);
    if (!passes)
        revocation_forget(revocation);
}

static void revocation_answered(struct acme_revocation *call, const struct problem *problem)
{
    struct keeper_revocation *revocation = container_of(call, struct keeper_revocation, call);
    revocation->asking = false;
    if (problem)
        revocation_failed(revocation, problem);
    else
        revocation_done(revocation);
}

static void revocation_say_orphan(struct keeper_revocation *revocation)
{
    if (revocation->orphan_said)
        return;
    revocation->orphan_said = true;
    LOG_ERROR_EVENT(revocation->keeper->world.log, "revocation_waits", LOG_SLICE("name", buf_slice(&revocation->name)),
                    LOG_SLICE("serial", buf_slice(&revocation->serial)),
                    LOG_SLICE("directory", buf_slice(&revocation->directory_url)),
                    LOG_STR("msg", "this certificate is to be revoked, but the CA that issued it is neither "
                                   "PORTICO_ACME_DIRECTORY nor PORTICO_ACME_FALLBACK any more: set one of them to it"));
}

static void revocation_ask(struct keeper_revocation *revocation)
{
    struct keeper *keeper = revocation->keeper;
    int64_t now_ms = keeper_wall_ms(keeper);
    struct keeper_issuer *issuer = keeper_issuer_of(keeper, buf_slice(&revocation->directory_url));
    if (now_ms >= revocation->not_after_s * 1000) {
        revocation_tell(revocation, KEEPER_COMMAND_DONE, "has expired by itself");
        revocation_forget(revocation);
    } else if (!issuer) {
        revocation_say_orphan(revocation);
    } else if (!revocation->asking && backoff_next_ms(&revocation->backoff, now_ms, false) <= now_ms) {
        revocation->asking = true;
        acme_revoke(issuer->acme, &revocation->call, buf_slice(&revocation->leaf_der), revocation->reason,
                    revocation->key, revocation_answered);
    }
}

/* ---- its replacement ---- */

/* Clients are shown another certificate by every worker; or there is nothing to wait for. */
static bool revocation_is_replaced(const struct keeper_revocation *revocation)
{
    const struct keeper_name *name = map_get(&revocation->keeper->by_name, buf_slice(&revocation->name));
    if (!name || name->kind != NAME_ACME || name->state.held)
        return true;
    return name_has_issued(name) && !name->save.cert && list_empty(&name->announced) &&
           !slice_eq(slice_str(name->cert->serial), buf_slice(&revocation->serial));
}

static void revocation_look(struct keeper_revocation *revocation)
{
    struct keeper *keeper = revocation->keeper;
    if (!keeper->writer || keeper->stopped || revocation->storing)
        return;
    if (revocation->stage == REVOCATION_REPLACING && revocation_is_replaced(revocation))
        revocation->stage = REVOCATION_ASKING;
    if (revocation->stage == REVOCATION_ASKING)
        revocation_ask(revocation);
    else if (revocation->stage == REVOCATION_REPLACING_AFTER && revocation_is_replaced(revocation))
        revocation_forget(revocation);
}

void keeper_revocations_look(struct keeper *keeper)
{
    LIST_EACH(&keeper->revocations, node)
    revocation_look(container_of(node, struct keeper_revocation, node));
}

/* ---- life ---- */

/* Takes the key over. */
static struct keeper_revocation *revocation_new(struct keeper *keeper, const struct revocation_record *record)
{
    struct keeper_revocation *revocation = MEM_NEW(struct keeper_revocation);
    revocation->keeper = keeper;
    revocation->reason = record->reason;
    revocation->not_after_s = record->not_after_s;
    revocation->key = record->key;
    buf_append_slice(&revocation->name, record->name);
    buf_append_slice(&revocation->serial, record->serial);
    buf_append_slice(&revocation->directory_url, record->directory_url);
    buf_append_slice(&revocation->leaf_der, record->leaf_der);
    list_append(&keeper->revocations, &revocation->node);
    return revocation;
}

/* A wish of an earlier process. Its replacement is wanted anew: that is not remembered elsewhere. */
static void revocation_resume(struct keeper *keeper, const struct revocation_record *record)
{
    struct keeper_revocation *revocation = revocation_new(keeper, record);
    struct keeper_name *name = map_get(&keeper->by_name, record->name);
    revocation->stored = true;
    revocation->stage = replaced_first(record->reason) ? REVOCATION_REPLACING : REVOCATION_ASKING;
    LOG_INFO_EVENT(keeper->world.log, "revocation_resumed", LOG_SLICE("name", record->name),
                   LOG_SLICE("serial", record->serial), LOG_STR("reason", acme_revocation_reason_text(record->reason)));
    if (record->reason == ACME_REVOKE_CESSATION || !name || revocation_is_replaced(revocation))
        return;
    name->wants_new = true;
    keeper_look_soon(name);
}

static void revocations_loaded(struct store_call *call, enum store_result result, const struct store_record *records,
                               size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, revocations_call);
    keeper->revocations_busy = false;
    (void)result; /* what could be read; the rest is asked for with the next load */
    for (size_t i = 0; i < num_records; i++) {
        struct arena arena = {0};
        struct revocation_record record;
        struct err err = revocation_record_read(&arena, records[i].value, &record);
        if (err_is(err))
            keeper_log_failure(keeper, "revocation_unreadable", records[i].key, err,
                               "the record of a revocation is damaged: ask for it again, or remove the record");
        else if (keeper->writer && !keeper->stopped && !revocation_find(keeper, record.serial))
            revocation_resume(keeper, &record);
        else
            key_free(record.key);
        arena_wipe(&arena); /* the tree has the key's PEM */
        arena_cleanup(&arena);
    }
    keeper_revocations_look(keeper);
}

void keeper_revocations_load(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    if (!keeper->writer || keeper->revocations_busy)
        return;
    keeper->revocations_busy = true;
    keeper->revocations_call.done = revocations_loaded;
    store->ops->list(store, revocation_prefix, &keeper->revocations_call);
}

void keeper_revocations_engines_gone(struct keeper *keeper)
{
    LIST_EACH(&keeper->revocations, node)
    container_of(node, struct keeper_revocation, node)->asking = false;
}

void keeper_revocations_free(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    if (keeper->revocations_busy)
        store->ops->cancel(store, &keeper->revocations_call);
    keeper->revocations_busy = false;
    LIST_EACH(&keeper->revocations, node)
    revocation_free(container_of(node, struct keeper_revocation, node));
}

/* ---- begun by a command ---- */

static bool name_is_revocable(const struct keeper_name *name, struct buf *out_refusal)
{
    bool issuer = name_has_issued(name) && keeper_issuer_of(name->keeper, buf_slice(&name->directory_url));
    if (!name_has_issued(name))
        buf_printf(out_refusal, "%.*s has no certificate of a CA that could be revoked", (int)name->text.len,
                   name->text.ptr);
    else if (!issuer)
        buf_printf(out_refusal,
                   "the certificate of %.*s comes from %.*s, which is neither PORTICO_ACME_DIRECTORY nor "
                   "PORTICO_ACME_FALLBACK: set one of them to it",
                   (int)name->text.len, name->text.ptr, (int)name->directory_url.len, name->directory_url.ptr);
    return issuer;
}

static bool revoke_line_begin(struct keeper_command *command, struct keeper_name *name, struct buf *out_refusal)
{
    struct keeper *keeper = command->keeper;
    const struct cert *cert = name->cert;
    struct revocation_record record = {
        .name = name->record,
        .serial = slice_str(cert->serial),
        .directory_url = buf_slice(&name->directory_url),
        .leaf_der = slice_make(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])),
        .reason = command->reason,
        .not_after_s = cert->not_after_s};
    struct revoke_line *line = &command->revokes[command->num_revokes++];
    buf_append_slice(&line->serial, record.serial);
    bool compromised = command->reason == ACME_REVOKE_KEY_COMPROMISE;
    struct keeper_revocation *before = revocation_find(keeper, record.serial);
    if (before && (!compromised || before->reason == ACME_REVOKE_KEY_COMPROMISE))
        return true; /* it is under way: for whatever reason that one was given */
    if (compromised) {
        struct err err = key_read_pkcs8(slice_make(cert->key_der, cert->key_len), &record.key);
        if (err_is(err)) {
            buf_append_str(out_refusal, "the certificate's key could not be read");
            return false;
        }
        keeper_ban_key_of(keeper, record.key);
    }
    if (before) /* a disclosed key waits for no replacement, and is to be blocked by the CA too */
        revocation_free(before);
    revocation_store(revocation_new(keeper, &record));
    return true;
}

/* How it stands while it has not ended. */
static enum keeper_command_state revoke_line_write(const struct keeper_revocation *revocation, struct buf *out)
{
    bool replacing = revocation->stage == REVOCATION_REPLACING, storing = revocation->stage == REVOCATION_STORING;
    buf_printf(out, "%.*s: certificate %.*s %s\n", (int)revocation->name.len, revocation->name.ptr,
               (int)revocation->serial.len, revocation->serial.ptr,
               storing     ? "is to be revoked: the wish is being stored"
               : replacing ? "is revoked when its replacement is served"
                           : "is being revoked");
    return storing ? KEEPER_COMMAND_QUEUED : replacing ? KEEPER_COMMAND_WAITING : KEEPER_COMMAND_RUNNING;
}

static void revoke_line_update(struct keeper *keeper, struct revoke_line *line, const struct renew_line *renewal)
{
    struct keeper_revocation *revocation = revocation_find(keeper, buf_slice(&line->serial));
    if (command_state_is_end(line->state))
        return;
    line->text.len = 0;
    if (!revocation) {
        buf_printf(&line->text, "certificate %.*s: another process goes on with its revocation\n",
                   (int)line->serial.len, line->serial.ptr);
        line->state = KEEPER_COMMAND_FAILED;
    } else if (revocation->stage == REVOCATION_REPLACING && renewal && renewal->state == KEEPER_COMMAND_FAILED) {
        revoke_line_write(revocation, &line->text);
        line->state = KEEPER_COMMAND_FAILED;
    } else {
        line->state = revoke_line_write(revocation, &line->text);
    }
}

void revoke_look(struct keeper_command *command)
{
    renew_look(command);
    for (size_t i = 0; i < command->num_revokes; i++) {
        struct revoke_line *line = &command->revokes[i];
        revoke_line_update(command->keeper, line, i < command->num_lines ? &command->lines[i] : NULL);
        buf_append_slice(&command->text, buf_slice(&line->text));
        command->state = command_state_join(command->state, line->state);
    }
    if (!revoke_is_stored(command)) /* whatever its replacement does meanwhile */
        command->state = KEEPER_COMMAND_QUEUED;
}

bool revoke_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal)
{
    struct keeper *keeper = command->keeper;
    struct keeper_name *name = command_name_of(keeper, spec->name, out_refusal);
    if (!name || !name_is_revocable(name, out_refusal))
        return false;
    struct keeper_name *other = name->other && name_has_issued(name->other) ? name->other : NULL;
    if (other && !name_is_revocable(other, out_refusal))
        return false;
    command->reason = spec->reason;
    bool begun =
        revoke_line_begin(command, name, out_refusal) && (!other || revoke_line_begin(command, other, out_refusal));
    if (!begun)
        return false;
    if (spec->reason == ACME_REVOKE_CESSATION)
        keeper_hold(keeper, name->text);
    else if (!renew_begin(
                 command,
                 &(struct keeper_command_spec){.name = spec->name, .force = spec->reason == ACME_REVOKE_KEY_COMPROMISE},
                 out_refusal))
        return false;
    buf_append_slice(&command->name, name->text);
    revoke_say_begun(command); /* where it was under way before */
    revoke_look(command);
    return true;
}

void revoke_cleanup(struct keeper_command *command)
{
    buf_cleanup(&command->name);
    renew_cleanup(command);
    for (size_t i = 0; i < command->num_revokes; i++) {
        buf_cleanup(&command->revokes[i].serial);
        buf_cleanup(&command->revokes[i].text);
    }
}
