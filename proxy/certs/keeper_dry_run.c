#include "certs/keeper_commands_internal.h"

/* One name of the rehearsal. */
struct dry_name {
    struct dry_run *run;
    struct buf text;     /* the name */
    const char *skipped; /* why it is not ordered; NULL: it is */
    struct acme_order *order;
    struct buf failed_challenge; /* the type that failed: one more order without it (ACME-47) */
    bool tried_again;
    bool ended, issued;
    struct buf sentence; /* what went wrong */
    struct store_call call;
    bool busy;
};

/* An engine of its own, with an account of its own: what it leaves in the store are the account and, until they end, the
 * journals order/dry-run:NAME. Its challenges are answered as those of any order. */
struct dry_run {
    struct keeper *keeper;
    struct keeper_issuer issuer;
    struct buf directory_url;
    struct dry_name *names;
    size_t num_names, num_left;
};

static void dry_order(struct dry_name *name);

/* ---- results ---- */

static void dry_write_name(const struct dry_name *name, size_t width, struct buf *out)
{
    buf_printf(out, "%-*.*s  ", (int)width, (int)name->text.len, name->text.ptr);
    if (name->skipped)
        buf_append_str(out, name->skipped);
    else if (name->issued)
        buf_append_str(out, name->sentence.len ? "ok, but not by " : "ok");
    else
        buf_append_str(out, "failed: ");
    buf_append_slice(out, buf_slice(&name->sentence));
    buf_append_char(out, '\n');
}

static enum keeper_command_state dry_write_table(const struct dry_run *run, struct buf *out)
{
    size_t width = 0, num_issued = 0, num_failed = 0;
    for (size_t i = 0; i < run->num_names; i++)
        width = run->names[i].text.len > width ? run->names[i].text.len : width;
    for (size_t i = 0; i < run->num_names; i++) {
        const struct dry_name *name = &run->names[i];
        dry_write_name(name, width, out);
        num_issued += name->issued;
        num_failed += !name->skipped && !name->issued;
    }
    buf_printf(out, "\n%zu ordered well at %.*s, %zu not\n", num_issued, (int)run->directory_url.len,
               run->directory_url.ptr, num_failed);
    return num_failed ? KEEPER_COMMAND_FAILED : KEEPER_COMMAND_DONE;
}

/* ---- one name ---- */

static void dry_name_ended(struct dry_name *name)
{
    struct dry_run *run = name->run;
    name->ended = true;
    if (--run->num_left == 0) /* the engine is in the midst of a call: it is freed at the next look */
        alarm_set(&run->keeper->look, 0);
}

static void dry_journal_removed(struct store_call *call, enum store_result result, const struct store_record *records,
                                size_t num_records)
{
    struct dry_name *name = container_of(call, struct dry_name, call);
    (void)result, (void)records, (void)num_records; /* one that stays lets the next rehearsal end sooner: no harm */
    name->busy = false;
    dry_name_ended(name);
}

static void dry_issued(struct dry_name *name, const struct acme_result *result)
{
    struct store *store = name->run->keeper->world.store;
    struct store_write write = {.key = result->journal_key};
    name->issued = true;
    name->busy = true;
    name->call.done = dry_journal_removed;
    store->ops->commit(store, &write, 1, &name->call);
}

static bool dry_may_try_again(struct dry_name *name, const struct acme_result *result)
{
    if (name->tried_again || result->problem.class != PROBLEM_VALIDATION || !result->challenge_type.len)
        return false;
    name->tried_again = true;
    buf_append_slice(&name->failed_challenge, result->challenge_type);
    return true;
}

static void dry_order_done(struct acme_order *order, const struct acme_result *result, void *ctx)
{
    struct dry_name *name = ctx;
    (void)order;
    name->order = NULL;
    if (result->issued) {
        dry_issued(name, result);
        return;
    }
    if (name->sentence.len)
        buf_append_str(&name->sentence, "; and ");
    if (result->challenge_type.len) {
        buf_append_slice(&name->sentence, result->challenge_type);
        buf_append_str(&name->sentence, ": ");
    }
    buf_append_slice(&name->sentence, result->sentence);
    if (dry_may_try_again(name, result))
        dry_order(name);
    else
        dry_name_ended(name);
}

/* Those of the configuration, without the one that has failed. */
static void dry_setup(const struct dry_name *name, const struct keeper_name *of, struct order_setup *setup)
{
    size_t num = 0;
    name_setup(of, setup);
    for (size_t i = 0; i < setup->num_challenges; i++)
        if (!slice_eq(buf_slice(&name->failed_challenge), slice_str(acme_challenge_name(setup->challenges[i]))))
            setup->challenges[num++] = setup->challenges[i];
    setup->num_challenges = num;
}

static void dry_order(struct dry_name *name)
{
    struct keeper *keeper = name->run->keeper;
    const struct keeper_name *of = map_get(&keeper->by_name, buf_slice(&name->text));
    struct order_setup setup = {0};
    struct slice text = buf_slice(&name->text);
    if (of)
        dry_setup(name, of, &setup);
    if (setup.num_challenges == 0) { /* there is no other way */
        dry_name_ended(name);
        return;
    }
    struct buf record = {0};
    buf_append_str(&record, "dry-run:");
    buf_append_slice(&record, text);
    struct acme_order_spec spec = {.record = buf_slice(&record),
                                   .names = &text,
                                   .num_names = 1,
                                   .key_type = of->key_type,
                                   .challenges = setup.challenges,
                                   .num_challenges = setup.num_challenges,
                                   .profiles = setup.profiles,
                                   .num_profiles = setup.num_profiles,
                                   .done = dry_order_done,
                                   .ctx = name};
    name->order = acme_order_new(name->run->issuer.acme, &spec);
    buf_cleanup(&record);
}

/* ---- life ---- */

static const char *skip_reason(const struct keeper_name *name)
{
    switch (name->kind) {
    case NAME_ACME: return NULL;
    case NAME_INTERNAL: return "not ordered: the local CA signs it";
    case NAME_OWN: break;
    }
    return "not ordered: it has a certificate of your own";
}

static void dry_take_names(struct dry_run *run)
{
    const struct keeper *keeper = run->keeper;
    run->names = mem_calloc(keeper->num_names, sizeof *run->names);
    for (size_t i = 0; i < keeper->num_names; i++) {
        const struct keeper_name *from = keeper->names[i];
        if (from->second)
            continue;
        struct dry_name *name = &run->names[run->num_names++];
        name->run = run;
        name->skipped = skip_reason(from);
        name->ended = name->skipped != NULL;
        buf_append_slice(&name->text, from->text);
        run->num_left += !name->ended;
    }
}

static struct slice dry_directory(const struct keeper *keeper, const struct keeper_command_spec *spec,
                                  struct buf *out_refusal)
{
    struct slice own = keeper->config->acme.directory, staging = config_staging_of(own);
    if (slice_eq(spec->directory, own) && own.len) {
        buf_append_str(out_refusal, "that is PORTICO_ACME_DIRECTORY itself, whose limits a rehearsal must not use up");
        return SLICE_NONE;
    }
    if (spec->directory.len)
        return spec->directory;
    if (!staging.len)
        buf_append_str(out_refusal, "no staging directory is known for PORTICO_ACME_DIRECTORY: name one with "
                                    "`portico dry-run --directory URL`");
    return staging;
}

static bool dry_make_engine(struct dry_run *run, struct buf *out_refusal)
{
    const struct config *config = run->keeper->config;
    struct acme_world world = keeper_engine_world(&run->issuer);
    struct acme_options options = {.directory_url = buf_slice(&run->directory_url),
                                   .accept_terms = config->acme.accept_terms,
                                   .email = config->acme.email};
    char text[160];
    struct err err = run->keeper->world.transport ? acme_new(&world, &options, &run->issuer.acme)
                                                  : err_make(ERR_STATE, 0, "no name is ordered from a CA here");
    if (err_is(err))
        buf_append_str(out_refusal, err_text(err, text, sizeof text));
    return !err_is(err);
}

static void dry_name_cleanup(struct dry_name *name)
{
    struct store *store = name->run->keeper->world.store;
    if (name->busy)
        store->ops->cancel(store, &name->call);
    buf_cleanup(&name->text);
    buf_cleanup(&name->failed_challenge);
    buf_cleanup(&name->sentence);
}

static void dry_run_free(struct dry_run *run)
{
    if (!run)
        return;
    acme_free(run->issuer.acme); /* and with it what is ordered */
    alarm_stop(&run->issuer.alarm);
    if (run->keeper->rehearsal == &run->issuer)
        run->keeper->rehearsal = NULL;
    for (size_t i = 0; i < run->num_names; i++)
        dry_name_cleanup(&run->names[i]);
    mem_free(run->names);
    buf_cleanup(&run->directory_url);
    mem_free(run);
}

bool dry_run_begin(struct keeper_command *command, const struct keeper_command_spec *spec, struct buf *out_refusal)
{
    struct slice directory = dry_directory(command->keeper, spec, out_refusal);
    if (!directory.len)
        return false;
    if (command->keeper->rehearsal) {
        buf_append_str(out_refusal, "another rehearsal is under way");
        return false;
    }
    struct dry_run *run = MEM_NEW(struct dry_run);
    run->keeper = command->keeper;
    keeper_issuer_init(&run->issuer, command->keeper, ISSUER_FALLBACK); /* its thumbprint is not the answers' */
    buf_append_slice(&run->directory_url, directory);
    if (!dry_make_engine(run, out_refusal)) {
        dry_run_free(run);
        return false;
    }
    command->dry = run;
    command->keeper->rehearsal = &run->issuer;
    dry_take_names(run);
    for (size_t i = 0; i < run->num_names; i++)
        if (!run->names[i].ended)
            dry_order(&run->names[i]);
    dry_run_look(command);
    return true;
}

void dry_run_look(struct keeper_command *command)
{
    const struct dry_run *run = command->dry;
    size_t num_asked = 0;
    command->text.len = 0;
    if (run->num_left == 0) {
        command->state = dry_write_table(run, &command->text);
        dry_run_cleanup(command);
        return;
    }
    for (size_t i = 0; i < run->num_names; i++)
        num_asked += !run->names[i].skipped;
    buf_printf(&command->text, "%zu of %zu names are through at %.*s\n", num_asked - run->num_left, num_asked,
               (int)run->directory_url.len, run->directory_url.ptr);
    command->state = KEEPER_COMMAND_RUNNING;
}

void dry_run_cleanup(struct keeper_command *command)
{
    dry_run_free(command->dry);
    command->dry = NULL;
}

void dry_run_end(struct keeper_command *command, const char *why)
{
    if (!command->dry)
        return;
    command->text.len = 0;
    buf_printf(&command->text, "the rehearsal was broken off: %s\n", why);
    command->state = KEEPER_COMMAND_FAILED;
    dry_run_cleanup(command);
}
