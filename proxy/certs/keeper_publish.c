#include "certs/keeper_challenge.h"

/* ---- certsets ---- */

struct certset *keeper_draft(struct keeper *keeper)
{
    if (!keeper->draft)
        keeper->draft = keeper->set ? certset_copy(keeper->set) : certset_new();
    deferred_start(keeper->world.loop, &keeper->publish);
    return keeper->draft;
}

static void keeper_stamp(struct keeper *keeper)
{
    int64_t now_ms = keeper_mono_ms(keeper);
    keeper_challenges_stamp(keeper);
    LIST_EACH(&keeper->announcing, node)
    {
        struct keeper_name *name = container_of(node, struct keeper_name, announced);
        if (name->announced_in == 0) {
            name->announced_in = keeper->generation;
            name->announced_ms = now_ms;
        }
    }
}

static void keeper_publish_draft(struct deferred *deferred)
{
    struct keeper *keeper = container_of(deferred, struct keeper, publish);
    if (!keeper->draft || !keeper->settled) /* the first publication waits for the store, and is complete */
        return;
    certset_unref(keeper->set);
    keeper->set = keeper->draft;
    keeper->draft = NULL;
    keeper->set->generation = ++keeper->generation;
    keeper_stamp(keeper);
    keeper->world.publish(keeper->world.ctx, certset_ref(keeper->set));
}

void keeper_serve(struct keeper_name *name, struct cert *cert, struct slice directory_url)
{
    cert_unref(name->cert);
    name->cert = cert;
    name_state_keep(&name->directory_url, directory_url);
    keeper_offer(name);
    export_put(name->keeper->world.export, name->text, name->second, cert);
}

void keeper_announce(struct keeper_name *name)
{
    list_remove(&name->announced);
    list_append(&name->keeper->announcing, &name->announced);
    name->announced_in = 0;
}

/* ---- acknowledgement ---- */

static void keeper_log_published(const struct keeper_name *name)
{
    char not_after[CLOCK_TEXT_BYTES];
    struct keeper *keeper = name->keeper;
    LOG_INFO_EVENT(keeper->world.log, "certificate_published", LOG_SLICE("name", name->text),
                   LOG_STR("serial", name->cert->serial), LOG_STR("source", cert_source_text(name->cert->source)),
                   LOG_STR("not_after", clock_rfc3339(name->cert->not_after_s * 1000, not_after)),
                   LOG_INT("generation", name->announced_in),
                   LOG_INT("milliseconds", keeper_mono_ms(keeper) - name->announced_ms));
}

bool keeper_is_acknowledged(const struct keeper *keeper, uint64_t generation)
{
    return generation != 0 && generation <= keeper->acknowledged;
}

void keeper_acknowledged(struct keeper *keeper, uint64_t generation)
{
    if (!keeper || keeper->closing || generation <= keeper->acknowledged)
        return;
    keeper->acknowledged = generation;
    LIST_EACH(&keeper->announcing, node)
    {
        struct keeper_name *name = container_of(node, struct keeper_name, announced);
        if (!keeper_is_acknowledged(keeper, name->announced_in))
            continue;
        list_remove(node);
        keeper_log_published(name);
    }
    keeper_challenges_acknowledged(keeper);
    if (!list_empty(&keeper->revocations)) /* one may have waited for its replacement */
        alarm_set(&keeper->look, 0);
}

void keeper_account_known(void *ctx, struct slice thumbprint)
{
    struct keeper *keeper = ctx;
    certset_set_thumbprint(keeper_draft(keeper), thumbprint);
    keeper_preflight_account_known(keeper, thumbprint);
}

void keeper_publish_init(struct keeper *keeper)
{
    deferred_init(&keeper->publish, keeper_publish_draft);
    list_init(&keeper->publications);
    list_init(&keeper->announcing);
}

void keeper_publish_stop(struct keeper *keeper)
{
    deferred_stop(&keeper->publish);
    certset_unref(keeper->draft);
    certset_unref(keeper->set);
    keeper->draft = keeper->set = NULL;
}
