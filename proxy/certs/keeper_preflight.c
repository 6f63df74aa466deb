/* Preflights of names: before the first validation, and while failed ones are waited out. They never veto: what looks broken
 * holds a first order for a while, once; what looks mended ends our own back-off; and what was found is kept as the hint beside
 * the CA's words. With a private CA, which may see another network and another DNS, they do nothing but that, and only behind a
 * failure. */
#include "acme/challenge.h"
#include "base/b64url.h"
#include "certs/keeper_challenge.h"

#include <openssl/rand.h>

enum {
    PREFLIGHT_AGAIN_MS = 5 * 60 * 1000, /* in back-off */
    PREFLIGHT_HELD_AGAIN_MS = 60 * 1000,
    PREFLIGHT_HOLD_MS = 10 * 60 * 1000,
    PREFLIGHT_DOUBT_MS = 60 * 1000, /* hold: our own address may be out of reach for us alone (hairpin NAT) */
    PREFLIGHT_WORKERS_MS = 200      /* until they answer */
};

/* ---- whose answers are ours ---- */

static void keeper_expect(struct keeper *keeper, struct slice thumbprint)
{
    name_state_keep(&keeper->thumbprint, thumbprint);
    keeper->thumbprint_in = keeper->generation + 1; /* the draft's */
    keeper->num_accounts_known++;
}

void keeper_preflight_begin(struct keeper *keeper)
{
    uint8_t random[32];
    struct buf stand_in = {0};
    if (!keeper->world.look_at || !keeper_has_engines(keeper))
        return;
    RAND_bytes(random, sizeof random);
    b64url_encode(&stand_in, slice_make(random, sizeof random));
    certset_set_thumbprint(keeper_draft(keeper), buf_slice(&stand_in));
    keeper_expect(keeper, buf_slice(&stand_in));
    buf_cleanup(&stand_in);
}

void keeper_preflight_account_known(struct keeper *keeper, struct slice thumbprint)
{
    if (!slice_eq(buf_slice(&keeper->thumbprint), thumbprint))
        keeper_expect(keeper, thumbprint);
}

/* ---- what was found ---- */

static bool keeper_only_warns(const struct keeper *keeper)
{
    return keeper->config->acme.kind != CONFIG_DIRECTORY_PUBLIC;
}

static bool name_failed_validation(const struct keeper_name *name)
{
    return (name->state.backoff.num_failures || name->state.fallback.num_failures) &&
           problem_class_from_name(buf_slice(&name->state.problem_class)) == PROBLEM_VALIDATION;
}

/* Whether it may look so from here alone. */
static bool is_doubtful(const struct findings *findings)
{
    for (size_t i = 0; i < findings->num; i++) {
        const struct finding *finding = &findings->items[i];
        bool reach = strcmp(finding->kind, "refused") == 0 || strcmp(finding->kind, "timeout") == 0 ||
                     strcmp(finding->kind, "no-answer") == 0;
        if (finding->level == FINDING_FAIL && !reach)
            return false;
    }
    return true;
}

static void name_keep_hint(struct keeper_name *name, const struct findings *findings)
{
    struct buf hint = {0};
    findings_write_hint(findings, &hint);
    if (!slice_eq(buf_slice(&hint), buf_slice(&name->state.hint))) {
        name_state_keep(&name->state.hint, buf_slice(&hint));
        keeper_state_dirty(name);
        if (hint.len)
            LOG_WARN_EVENT(name->keeper->world.log, "preflight_failed", LOG_SLICE("name", name->text),
                           LOG_SLICE("msg", buf_slice(&hint)));
        else
            LOG_INFO_EVENT(name->keeper->world.log, "preflight_passed", LOG_SLICE("name", name->text));
    }
    buf_cleanup(&hint);
}

static void name_hold_first(struct name_preflight *preflight, const struct findings *findings, int64_t now_ms)
{
    if (preflight->bad && !preflight->hold_ms)
        preflight->hold_ms = now_ms + (is_doubtful(findings) ? PREFLIGHT_DOUBT_MS : PREFLIGHT_HOLD_MS);
    preflight->next_ms = now_ms + PREFLIGHT_HELD_AGAIN_MS;
}

static void name_mend(struct keeper_name *name, bool mended, int64_t now_ms)
{
    name->preflight.next_ms = now_ms + PREFLIGHT_AGAIN_MS;
    if (!mended || keeper_only_warns(name->keeper))
        return;
    backoff_mended(&name->state.backoff);
    backoff_mended(&name->state.fallback);
    keeper_state_dirty(name);
}

static void name_looked_at(struct preflight_run *run, const struct findings *findings)
{
    struct keeper_name *name = container_of(run, struct keeper_name, preflight.run);
    struct name_preflight *preflight = &name->preflight;
    struct keeper *keeper = name->keeper;
    int64_t now_ms = keeper_wall_ms(keeper);
    bool was_bad = preflight->bad;
    keeper_look_soon(name);
    if (preflight->num_known != keeper->num_accounts_known) /* the account came meanwhile: other answers are ours now */
        return;
    preflight->bad = findings_level(findings) == FINDING_FAIL;
    name_keep_hint(name, findings);
    if (name_failed_validation(name))
        name_mend(name, was_bad && !preflight->bad, now_ms);
    else
        name_hold_first(preflight, findings, now_ms);
}

/* ---- looking ---- */

static void name_look_at(struct keeper_name *name)
{
    struct keeper *keeper = name->keeper;
    const struct acme *acme = keeper->issuers[ISSUER_FIRST].acme;
    struct order_setup setup;
    bool http = false;
    name_setup(name, &setup);
    for (size_t i = 0; i < setup.num_challenges; i++)
        http = http || setup.challenges[i] == ACME_HTTP_01;
    struct preflight_question question = {
        .name = name->text,
        .thumbprint = buf_slice(&keeper->thumbprint),
        .account_url = acme_account_url(acme),
        .method = setup.num_challenges ? slice_str(acme_challenge_name(setup.challenges[0])) : SLICE_NONE,
        .http = http,
        .private_ca = keeper_only_warns(keeper)};
    question.num_identities = acme_caa_identities(acme, &question.identities);
    name->preflight.num_known = keeper->num_accounts_known;
    name->preflight.run.done = name_looked_at;
    keeper->world.look_at(keeper->world.ctx, &question, &name->preflight.run);
}

/* In back-off: what failed is looked at, and again every while. */
static int64_t name_look_in_backoff(struct keeper_name *name, int64_t now_ms, int64_t next_ms)
{
    struct name_preflight *preflight = &name->preflight;
    if (preflight->run.job || next_ms <= now_ms)
        return INT64_MAX;
    if (preflight->next_ms > now_ms && preflight->next_ms <= now_ms + PREFLIGHT_AGAIN_MS)
        return preflight->next_ms;
    name_look_at(name);
    return INT64_MAX;
}

/* Many others may be looked at before: no order waits for that longer than for what looks broken. */
static bool name_look_is_late(const struct name_preflight *preflight, int64_t now_ms)
{
    bool waits = preflight->begun_ms && !preflight->next_ms;
    return waits && (now_ms >= preflight->begun_ms + PREFLIGHT_HOLD_MS || now_ms < preflight->begun_ms);
}

/* Before the first validation: the order waits for what is found, and for a while where that is bad. */
static int64_t name_look_first(struct keeper_name *name, int64_t now_ms, int64_t *next_ms)
{
    struct name_preflight *preflight = &name->preflight;
    bool looked = preflight->next_ms != 0;
    bool waited =
        preflight->hold_ms && (now_ms >= preflight->hold_ms || preflight->hold_ms > now_ms + PREFLIGHT_HOLD_MS);
    if (*next_ms > now_ms || (looked && !preflight->bad) || waited || name_look_is_late(preflight, now_ms))
        return INT64_MAX;
    if (!looked && !keeper_is_acknowledged(name->keeper, name->keeper->thumbprint_in)) {
        *next_ms = now_ms + PREFLIGHT_WORKERS_MS;
        return *next_ms;
    }
    if (!preflight->begun_ms)
        preflight->begun_ms = now_ms;
    int64_t late_ms = preflight->begun_ms + PREFLIGHT_HOLD_MS;
    *next_ms = looked ? preflight->hold_ms : INT64_MAX;
    if (looked && preflight->next_ms > now_ms)
        return preflight->next_ms < preflight->hold_ms ? preflight->next_ms : preflight->hold_ms;
    if (!preflight->run.job)
        name_look_at(name);
    return looked ? preflight->hold_ms : late_ms;
}

int64_t keeper_preflight_look(struct keeper_name *name, int64_t now_ms, int64_t *next_ms)
{
    const struct keeper *keeper = name->keeper;
    bool failed = name->state.backoff.num_failures || name->state.fallback.num_failures;
    if (!keeper->world.look_at || name->asked != NAME_NOT_ASKED || name->second)
        return INT64_MAX;
    if (name_failed_validation(name))
        return name_look_in_backoff(name, now_ms, *next_ms);
    if (failed || name_has_issued(name) || keeper_only_warns(keeper))
        return INT64_MAX;
    return name_look_first(name, now_ms, next_ms);
}

void keeper_preflight_cancel(struct keeper_name *name)
{
    if (name->preflight.run.job)
        name->keeper->world.look_away(name->keeper->world.ctx, &name->preflight.run);
}
