#include "certs/internal_ca.h"
#include "certs/keeper_internal.h"

/* ---- names that leave ---- */

static void name_free(struct keeper_name *name)
{
    list_remove(&name->dirty);
    list_remove(&name->announced);
    list_remove(&name->refresh);
    list_remove(&name->leaving);
    keeper_demand_let_go(name);
    keeper_name_cleanup(name);
    mem_free((char *)name->record.ptr);
    mem_free(name);
}

static bool name_is_being_stored(const struct keeper_name *name)
{
    const struct keeper *keeper = name->keeper;
    for (size_t i = 0; i < keeper->num_state_batch; i++)
        if (keeper->state_batch[i] == name)
            return true;
    return name->save.busy || name->quarantine.busy;
}

/* Its back-off is stored first: a name that is taken away and put back must not begin anew at the CA. */
void keeper_sweep_leaving(struct keeper *keeper)
{
    bool writes = keeper->writer && !keeper->stopped;
    LIST_EACH(&keeper->leaving, node)
    {
        struct keeper_name *name = container_of(node, struct keeper_name, leaving);
        if (!name_is_being_stored(name) && (list_empty(&name->dirty) || !writes))
            name_free(name);
    }
}

static void name_leave(struct keeper_name *name)
{
    struct keeper *keeper = name->keeper;
    LOG_DEBUG_EVENT(keeper->world.log, "name_removed", LOG_SLICE("name", name->text));
    keeper_demand_let_go(name);
    keeper_order_cancel(name);
    keeper_ari_cancel(name);
    keeper_look_at(name, INT64_MAX);
    list_remove(&name->announced);
    list_remove(&name->refresh);
    list_append(&keeper->leaving, &name->leaving);
    if (name->other) {
        name->other->other = NULL;
        keeper_offer(name->other);
    } else {
        certset_remove(keeper_draft(keeper), name->text);
    }
    name->other = NULL;
}

static struct keeper_name *keeper_take_back(struct keeper *keeper, struct slice record)
{
    LIST_EACH(&keeper->leaving, node)
    {
        struct keeper_name *name = container_of(node, struct keeper_name, leaving);
        if (!slice_eq(name->record, record))
            continue;
        list_remove(node);
        return name;
    }
    return NULL;
}

/* ---- names ---- */

static enum name_kind keeper_kind_of(const struct keeper *keeper, const struct config_name *name)
{
    if (own_certs_cover(keeper->own, name->text))
        return NAME_OWN;
    switch (name->issuer) {
    case CONFIG_ISSUER_ACME: return NAME_ACME;
    case CONFIG_ISSUER_INTERNAL: return NAME_INTERNAL;
    case CONFIG_ISSUER_OWN: break;
    }
    LOG_ERROR_EVENT(
        keeper->world.log, "name_not_covered", LOG_SLICE("name", name->text),
        LOG_STR("msg", "no CA may sign this name, and neither PORTICO_TLS_CERT nor PORTICO_TLS_CERT_DIR has it: it "
                       "is served with a placeholder until a certificate that has it is given"));
    return NAME_OWN;
}

static struct keeper_name *name_new(struct keeper *keeper, struct slice record, size_t text_len)
{
    struct keeper_name *name = MEM_NEW(struct keeper_name);
    name->keeper = keeper;
    name->record = slice_make(mem_dup(record.ptr, record.len), record.len);
    name->text = slice_first(name->record, text_len);
    list_init(&name->dirty);
    list_init(&name->announced);
    list_init(&name->ari_waiting);
    name->paced_by = LEDGER_UNKNOWN;
    list_init(&name->refresh);
    list_init(&name->demand_loading);
    list_init(&name->leaving);
    return name;
}

/* Whoever signs for it now is not who did: an order of before is abandoned, and the store may have what it needs. */
static void name_set_kind(struct keeper_name *name, enum name_kind kind, bool is_new)
{
    struct keeper *keeper = name->keeper;
    bool changed = !is_new && name->kind != kind;
    name->kind = kind;
    name->fresh = (is_new || changed || name->fresh) && keeper->loaded &&
                  (kind == NAME_ACME || (kind == NAME_INTERNAL && !keeper->root));
    if (changed)
        keeper_order_cancel(name);
    if ((changed || is_new) && name->cert) /* whether challenges are answered for it */
        keeper_offer(name);
}

/* From what there was to what is to be. */
struct names_change {
    struct map before; /* record to struct keeper_name: not wanted so far */
    struct keeper *keeper;
    bool on_demand; /* what is added now */
};

/* What a line is to be. */
struct line_plan {
    struct slice record;
    size_t text_len;
    enum name_kind kind;
    enum key_type key_type;
    bool local;
};

static struct keeper_name *keeper_add_line(struct names_change *change, const struct line_plan *plan)
{
    struct keeper *keeper = change->keeper;
    struct keeper_name *name = map_remove(&change->before, plan->record);
    bool is_new = name == NULL;
    if (is_new)
        name = keeper_take_back(keeper, plan->record);
    if (!name)
        name = name_new(keeper, plan->record, plan->text_len);
    name->local = plan->local;
    name->on_demand = change->on_demand;
    name->dropped = false;
    name->key_type = plan->key_type;
    name->second = plan->record.len != plan->text_len;
    name_set_kind(name, plan->kind, is_new);
    map_put(&keeper->by_name, plan->record, name);
    keeper->names[keeper->num_names++] = name;
    return name;
}

/* A name that a CA signs has a line for each key type; the others have one. */
static void keeper_add_name(struct names_change *change, struct slice text, enum name_kind kind, bool local)
{
    struct keeper *keeper = change->keeper;
    struct buf records[CONFIG_KEY_TYPES];
    enum key_type key_types[CONFIG_KEY_TYPES];
    struct keeper_name *lines[CONFIG_KEY_TYPES];
    if (map_get(&keeper->by_name, text))
        return;
    size_t num = keeper_lines_of(keeper->config, text, records, key_types), num_wanted = kind == NAME_ACME ? num : 1;
    for (size_t i = 0; i < num_wanted; i++) {
        struct line_plan plan = {buf_slice(&records[i]), text.len, kind, key_types[i], local};
        lines[i] = keeper_add_line(change, &plan);
    }
    if (num_wanted == 2) {
        lines[0]->other = lines[1];
        lines[1]->other = lines[0];
    }
    for (size_t i = 0; i < num; i++)
        buf_cleanup(&records[i]);
    keeper->has_internal = keeper->has_internal || kind == NAME_INTERNAL;
    keeper->demand.num_names += change->on_demand;
}

/* ---- names that clients brought ---- */

static void keeper_add_brought(struct names_change *change, struct slice text)
{
    struct keeper *keeper = change->keeper;
    struct config_name name = {.text = text,
                               .issuer = keeper->config->acme.kind == CONFIG_DIRECTORY_INTERNAL ? CONFIG_ISSUER_INTERNAL
                                                                                                : CONFIG_ISSUER_ACME};
    change->on_demand = true;
    keeper_add_name(change, text, keeper_kind_of(keeper, &name), false);
}

/* Where they still are to be served; behind the names of the configuration, in the order in which they came. */
static void keeper_keep_brought(struct names_change *change, struct keeper_name **before, size_t num_before)
{
    for (size_t i = 0; i < num_before && change->keeper->config->on_demand_ask.len; i++) {
        struct keeper_name *name = map_get(&change->before, before[i]->record);
        if (name == before[i] && name->on_demand && !name->second)
            keeper_add_brought(change, name->text);
    }
}

struct keeper_name *keeper_add_on_demand(struct keeper *keeper, struct slice text)
{
    struct names_change change = {.keeper = keeper};
    size_t room = keeper->num_names + CONFIG_KEY_TYPES;
    keeper->names = mem_realloc(keeper->names, room * sizeof *keeper->names); // NOLINT(bugprone-sizeof-expression)
    keeper_add_brought(&change, text);
    return map_get(&keeper->by_name, text);
}

void keeper_remove_dropped(struct keeper *keeper)
{
    size_t num = 0;
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct keeper_name *name = keeper->names[i];
        if (!name->dropped) {
            keeper->names[num++] = name;
            continue;
        }
        map_remove(&keeper->by_name, name->record);
        keeper->demand.num_names -= !name->second;
        name_leave(name);
    }
    keeper->num_names = num;
}

/* ---- all names ---- */

static size_t keeper_num_sans(const struct keeper *keeper)
{
    size_t num = 0;
    for (size_t i = 0; keeper->config->names_from_certificate && i < keeper->own->num; i++)
        num += keeper->own->items[i].cert->num_names;
    return num;
}

static void keeper_add_sans(struct names_change *change)
{
    const struct own_certs *own = change->keeper->own;
    for (size_t i = 0; i < own->num; i++)
        for (size_t n = 0; n < own->items[i].cert->num_names; n++)
            keeper_add_name(change, slice_str(own->items[i].cert->names[n]), NAME_OWN, false);
}

void keeper_set_names(struct keeper *keeper)
{
    const struct config *config = keeper->config;
    struct names_change change = {.before = keeper->by_name, .keeper = keeper};
    struct keeper_name **before = keeper->names;
    size_t num_before = keeper->num_names, most = config->num_names + keeper_num_sans(keeper);
    struct map_entry *entry;
    keeper->names = mem_calloc(most * CONFIG_KEY_TYPES + num_before * CONFIG_KEY_TYPES, sizeof(void *));
    keeper->num_names = 0;
    keeper->by_name = (struct map){0};
    keeper->demand.num_names = 0;
    keeper->has_internal = config->on_demand_ask.len && config->acme.kind == CONFIG_DIRECTORY_INTERNAL;
    for (size_t i = 0; i < config->num_names; i++)
        keeper_add_name(&change, config->names[i].text, keeper_kind_of(keeper, &config->names[i]),
                        config->names[i].local);
    if (config->names_from_certificate)
        keeper_add_sans(&change);
    keeper_keep_brought(&change, before, num_before);
    for (size_t at = 0; (entry = map_next(&change.before, &at));)
        name_leave(entry->value);
    map_cleanup(&change.before);
    mem_free(before);
}

void keeper_free_names(struct keeper *keeper)
{
    keeper->num_state_batch = 0;
    LIST_EACH(&keeper->leaving, node)
    name_free(container_of(node, struct keeper_name, leaving));
    for (size_t i = 0; i < keeper->num_names; i++)
        name_free(keeper->names[i]);
    mem_free(keeper->names);
    keeper->names = NULL;
    keeper->num_names = 0;
    map_cleanup(&keeper->by_name);
}

bool keeper_orders(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        if (keeper->names[i]->kind == NAME_ACME)
            return true;
    return config_orders_on_demand(keeper->config);
}

/* ---- another configuration ---- */

static bool config_orders(const struct config *config)
{
    for (size_t i = 0; i < config->num_names; i++)
        if (config->names[i].issuer == CONFIG_ISSUER_ACME)
            return true;
    return config_orders_on_demand(config);
}

struct err keeper_prepare(const struct keeper *keeper, const struct config *config, struct transport *transport,
                          struct keeper_change *out_change, struct buf *out_mistake)
{
    struct err err = ERR_OK;
    *out_change = (struct keeper_change){.transport = transport, .dns_hook = keeper->world.dns_hook};
    if (own_certs_same(keeper->config, config))
        out_change->own = own_certs_ref(keeper->own);
    else
        err = own_certs_new(config, keeper->own, &out_change->own, out_mistake);
    if (!err_is(err) && !keeper_root_same(keeper->config, config))
        err = keeper_root_of(config, keeper_wall_ms(keeper) / 1000, &out_change->root, out_mistake);
    if (!err_is(err) && config_orders(config))
        err = keeper_engines_check(keeper, config, out_mistake);
    if (err_is(err))
        keeper_discard(out_change);
    else
        out_change->config = config_ref(config);
    return err;
}

void keeper_discard(struct keeper_change *change)
{
    own_certs_unref(change->own);
    internal_ca_free(change->root);
    config_unref(change->config);
    *change = (struct keeper_change){0};
}

/* Whoever the engine speaks to, or as whom, is another. */
static bool keeper_needs_engine_anew(const struct keeper *keeper, const struct keeper_change *change)
{
    const struct config *before = keeper->config, *after = change->config;
    return keeper->world.transport != change->transport || keeper->world.dns_hook != change->dns_hook ||
           before->acme.accept_terms != after->acme.accept_terms || before->acme.ledger != after->acme.ledger ||
           !slice_eq(before->acme.email, after->acme.email) || !slice_eq(before->acme.fallback, after->acme.fallback) ||
           !slice_eq(before->acme.fallback_eab_kid, after->acme.fallback_eab_kid) ||
           !slice_eq(before->acme.fallback_eab_hmac_key, after->acme.fallback_eab_hmac_key) ||
           before->acme.fallback_eab_mac != after->acme.fallback_eab_mac ||
           !slice_eq(before->acme.fallback_account_key.text, after->acme.fallback_account_key.text);
}

static void keeper_apply_engine(struct keeper *keeper, bool anew)
{
    struct buf mistake = {0};
    bool needed = keeper_orders(keeper) && !keeper->stopped;
    if (keeper_has_engines(keeper) && (anew || !needed))
        keeper_engines_free(keeper);
    if (needed && !keeper_has_engines(keeper) && err_is(keeper_engines_new(keeper, &mistake)))
        LOG_ERROR_EVENT(keeper->world.log, "configuration_failed", LOG_STR("msg", buf_cstr(&mistake)));
    if (anew)
        keeper_order_forgive_engine(keeper);
    buf_cleanup(&mistake);
}

static void keeper_apply_tickets(struct keeper *keeper, int64_t rotate_s)
{
    int64_t now_ms = keeper_mono_ms(keeper), due_ms = now_ms + rotate_s * 1000;
    if (rotate_s == 0) {
        ticket_ring_cleanup(&keeper_draft(keeper)->tickets);
        keeper->tickets_due_ms = 0;
    } else if (keeper->tickets_due_ms == 0 || due_ms < keeper->tickets_due_ms) {
        keeper->tickets_due_ms = keeper->tickets_due_ms ? due_ms : now_ms;
    }
    alarm_set(&keeper->look, 0);
}

static bool same_key_types(const struct config *a, const struct config *b)
{
    bool same = a->acme.num_key_types == b->acme.num_key_types;
    for (size_t i = 0; same && i < a->acme.num_key_types; i++)
        same = a->acme.key_types[i] == b->acme.key_types[i];
    return same;
}

/* Of many thousand names, it is worth a look whether anything has to be done for them. */
static bool same_names(const struct config *a, const struct config *b)
{
    if (a->num_names != b->num_names || a->names_from_certificate != b->names_from_certificate || !own_certs_same(a, b))
        return false;
    for (size_t i = 0; i < a->num_names; i++)
        if (a->names[i].issuer != b->names[i].issuer || !slice_eq(a->names[i].text, b->names[i].text))
            return false;
    return same_key_types(a, b) && (a->on_demand_ask.len == 0) == (b->on_demand_ask.len == 0);
}

/* Of names that stay as they are: whether their certificates, and how they are ordered, do. */
static bool same_orders(const struct config *a, const struct config *b)
{
    bool same = a->acme.renew_at_permille == b->acme.renew_at_permille &&
                a->acme.num_challenges == b->acme.num_challenges && a->acme.num_profiles == b->acme.num_profiles &&
                slice_eq(a->acme.preferred_chain, b->acme.preferred_chain);
    for (size_t i = 0; same && i < a->acme.num_challenges; i++)
        same = a->acme.challenges[i] == b->acme.challenges[i];
    for (size_t i = 0; same && i < a->acme.num_profiles; i++)
        same = slice_eq(a->acme.profiles[i], b->acme.profiles[i]);
    return same;
}

static bool keeper_has_fresh(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        if (keeper->names[i]->fresh)
            return true;
    return false;
}

/* Each name is looked at again: who signs for it, whether it is due. */
static void keeper_apply_names(struct keeper *keeper)
{
    keeper_set_names(keeper);
    if (keeper->num_names && !keeper->names[0]->on_demand)
        certset_set_default(keeper_draft(keeper), keeper->names[0]->text);
}

void keeper_apply(struct keeper *keeper, struct keeper_change *change)
{
    const struct config *before = keeper->config;
    bool anew = keeper_needs_engine_anew(keeper, change), same = same_names(before, change->config);
    bool same_root = keeper_root_same(before, change->config);
    own_certs_unref(keeper->own);
    keeper->own = change->own;
    keeper->config = change->config;
    if (!same_root)
        keeper_root_replace(keeper, change->root);
    keeper->world.transport = change->transport;
    keeper->world.dns_hook = change->dns_hook;
    *change = (struct keeper_change){0};
    if (!same)
        keeper_apply_names(keeper);
    if (!same || anew)
        keeper_apply_engine(keeper, anew);
    if (before->tls.ticket_rotate_s != keeper->config->tls.ticket_rotate_s)
        keeper_apply_tickets(keeper, keeper->config->tls.ticket_rotate_s);
    keeper_demand_apply(keeper, before->on_demand_ask);
    keeper_state_flush(keeper);
    keeper_sweep_leaving(keeper);
    if (keeper_has_fresh(keeper) || (!same_root && !keeper->root && keeper->has_internal))
        keeper_load_again(keeper);
    keeper_quarantine_try_all(keeper);
    if (!same || !same_root || anew || !same_orders(before, keeper->config))
        keeper_look_all(keeper);
    config_unref(before);
}
