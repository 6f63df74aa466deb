#include "certs/doctor_internal.h"

#include "base/mem.h"
#include "base/url.h"

static void doctor_next_state(struct doctor *doctor);
static void doctor_look_at_names(struct doctor *doctor);

/* ---- CAs ---- */

static void doctor_issuer_known(struct issuer_look *issuer, const struct acme_reply *reply);

static void doctor_next_issuer(struct doctor *doctor)
{
    struct issuer_look *end = doctor->issuers + CONFIG_ISSUERS;
    struct issuer_look *issuer = doctor->issuer ? doctor->issuer + 1 : doctor->issuers;
    while (issuer < end && issuer->url.len == 0)
        issuer++;
    doctor->issuer = issuer;
    if (issuer == end || !doctor->options.transport) {
        doctor_look_at_names(doctor);
        return;
    }
    issuer->done = doctor_issuer_known;
    issuer->ctx = doctor;
    issuer_look_start(issuer, doctor->options.store, doctor->options.transport);
}

static void doctor_issuer_known(struct issuer_look *issuer, const struct acme_reply *reply)
{
    doctor_say_issuer(issuer->ctx, issuer, reply);
    doctor_next_issuer(issuer->ctx);
}

/* ---- how the names stand, as stored ---- */

static void doctor_state_read(struct store_call *call, enum store_result result, const struct store_record *records,
                              size_t num_records)
{
    struct doctor *doctor = container_of(call, struct doctor, store_call);
    struct doctor_name *name = &doctor->names[doctor->name++];
    if (result == STORE_OK && num_records && name_state_read(&name->state, records[0].value)) {
        name->known = (struct doctor_known){.problem_class = buf_slice(&name->state.problem_class),
                                            .problem_sentence = buf_slice(&name->state.problem_sentence)};
        name->is_known = true;
    }
    doctor_next_state(doctor);
}

static void doctor_next_state(struct doctor *doctor)
{
    struct store *store = doctor->options.store;
    if (doctor->options.running || !store || doctor->name == doctor->num_names) {
        doctor_next_issuer(doctor);
        return;
    }
    struct buf key = {0};
    buf_append_str(&key, "state/");
    buf_append_slice(&key, doctor->names[doctor->name].text);
    doctor->store_call.done = doctor_state_read;
    store->ops->get(store, buf_slice(&key), &doctor->store_call);
    buf_cleanup(&key);
}

/* ---- names ---- */

static void doctor_finish(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->num_names; i++)
        findings_append(&doctor->findings, &doctor->names[i].findings);
    doctor->options.done(doctor->options.ctx, &doctor->findings);
}

static void name_ended_one(struct doctor_name *name)
{
    struct doctor *doctor = name->doctor;
    if (--doctor->num_pending == 0)
        doctor_finish(doctor);
}

static void name_looked_at(struct preflight_run *run, const struct findings *findings)
{
    struct doctor_name *name = container_of(run, struct doctor_name, run);
    findings_append(&name->findings, findings);
    name_ended_one(name);
}

static void name_persist_looked_at(struct persist_look *look, struct err err)
{
    struct doctor_name *name = container_of(look, struct doctor_name, persist);
    name->persist_err = err;
    doctor_say_persist(name);
    name_ended_one(name);
}

static bool has_challenge(const enum config_challenge *challenges, size_t num, enum config_challenge wanted)
{
    for (size_t i = 0; i < num; i++)
        if (challenges[i] == wanted)
            return true;
    return false;
}

static size_t name_challenges(const struct doctor_name *name, enum config_challenge out[NUM_CONFIG_CHALLENGES])
{
    struct config_name as = {.text = name->text,
                             .wildcard = slice_starts(name->text, SLICE_LIT("*.")),
                             .ip = name_is_ip(name->text),
                             .local = name_is_local(name->text)};
    return config_challenges_for(name->doctor->options.config, name->config ? name->config : &as, out);
}

static void name_preflight(struct doctor_name *name, const enum config_challenge *challenges, size_t num_challenges)
{
    const struct doctor *doctor = name->doctor;
    const struct issuer_look *issuer = &doctor->issuers[0];
    struct preflight_question question = {
        .name = name->text,
        .thumbprint = buf_slice(&issuer->thumbprint),
        .account_url = buf_slice(&issuer->account_url),
        .identities = issuer->directory.caa_identities,
        .num_identities = issuer->directory.num_caa_identities,
        .method = num_challenges ? slice_str(acme_challenge_name((enum acme_challenge)challenges[0])) : SLICE_NONE,
        .http = has_challenge(challenges, num_challenges, CONFIG_CHALLENGE_HTTP_01),
        .private_ca = doctor->options.config->acme.kind == CONFIG_DIRECTORY_PRIVATE,
        .not_running = !doctor->options.running};
    name->run.done = name_looked_at;
    name->doctor->num_pending++;
    preflight_start(doctor->options.preflight, &question, &name->run);
}

static void name_look_for_persist(struct doctor_name *name)
{
    struct doctor *doctor = name->doctor;
    const struct issuer_look *issuer = &doctor->issuers[0];
    struct persist_question question = {.name = name->text,
                                        .account = issuer_look_account(issuer),
                                        .now_s = doctor->options.clock->wall_ms(doctor->options.clock) / 1000};
    question.issuers = directory_issuer_names(&issuer->directory, &question.num_issuers);
    if (question.num_issuers == 0 || question.account.url.len == 0)
        return; /* nothing is known to compare with; what is missing has been said */
    name->persist.done = name_persist_looked_at;
    doctor->num_pending++;
    persist_look_start(&name->persist, doctor->options.dns, &question);
}

static void name_look(struct doctor_name *name)
{
    enum config_challenge challenges[NUM_CONFIG_CHALLENGES];
    size_t num = name_challenges(name, challenges);
    bool ordered = !name->config || name->config->issuer == CONFIG_ISSUER_ACME;
    doctor_say_certificate(name);
    if (!ordered || !name->doctor->options.transport)
        return;
    name_preflight(name, challenges, num);
    if (has_challenge(challenges, num, CONFIG_CHALLENGE_DNS_PERSIST_01))
        name_look_for_persist(name);
}

static void doctor_look_at_names(struct doctor *doctor)
{
    doctor->num_pending = 1; /* this function */
    for (size_t i = 0; i < doctor->num_names; i++)
        name_look(&doctor->names[i]);
    if (--doctor->num_pending == 0)
        doctor_finish(doctor);
}

/* ---- life ---- */

static void doctor_add_name(struct doctor *doctor, struct slice text, const struct config_name *config)
{
    const struct doctor_options *options = &doctor->options;
    struct doctor_name *name = &doctor->names[doctor->num_names++];
    *name = (struct doctor_name){.doctor = doctor, .text = text, .config = config};
    if (options->running)
        name->is_known = options->known(options->ctx, text, &name->known);
}

static void doctor_add_asked(struct doctor *doctor)
{
    struct slice asked = doctor->options.name;
    const struct config_name *config = config_name_asked(doctor->options.config, asked);
    doctor_add_name(doctor, config ? config->text : asked, config);
}

static void doctor_begin(struct deferred *deferred)
{
    doctor_next_state(container_of(deferred, struct doctor, begin));
}

struct doctor *doctor_start(const struct doctor_options *options)
{
    const struct config *config = options->config;
    struct doctor *doctor = MEM_NEW(struct doctor);
    doctor->options = *options;
    issuer_look_init(doctor->issuers, config);
    doctor->names = mem_calloc(config->num_names + 1, sizeof *doctor->names);
    for (size_t i = 0; i < config->num_names && options->name.len == 0; i++)
        doctor_add_name(doctor, config->names[i].text, &config->names[i]);
    if (options->name.len)
        doctor_add_asked(doctor);
    deferred_init(&doctor->begin, doctor_begin);
    deferred_start(options->loop, &doctor->begin);
    return doctor;
}

void doctor_free(struct doctor *doctor)
{
    for (size_t i = 0; i < CONFIG_ISSUERS; i++)
        issuer_look_cleanup(&doctor->issuers[i]);
    for (size_t i = 0; i < doctor->num_names; i++) {
        name_state_cleanup(&doctor->names[i].state);
        findings_cleanup(&doctor->names[i].findings);
    }
    findings_cleanup(&doctor->findings);
    mem_free(doctor->names);
    mem_free(doctor);
}
