/* From the environment to a config: read, apply each row, then the rules between rows. */
#include "config/build.h"

#include "base/mem.h"
#include "config/mistakes.h"

bool build_given(const struct build *build, enum row row)
{
    return build->config->values[row].source != CONFIG_FROM_DEFAULT;
}

bool build_failed(const struct build *build, enum row row)
{
    return build->environment.entries[row].failed;
}

static const char *const kinds[] = {[SHOWN_AS_PEM] = "PEM", [SHOWN_AS_HTML] = "HTML", [SECRET] = "secret"};

static struct slice masked(struct arena *arena, enum row row, struct slice text)
{
    if (config_rows[row].shown == SHOWN)
        return arena_copy(arena, text);
    return arena_printf(arena, "(%s, %zu bytes)", kinds[config_rows[row].shown], text.len);
}

void build_mistake(struct build *build, enum row row, struct slice value, const char *why)
{
    const struct config_row *r = &config_rows[row];
    if (value.ptr)
        value = masked(&build->config->arena, row, value);
    mistakes_add(build->mistakes, r->text.name, value, r->shown == SHOWN ? r->example : NULL, "%s", why);
    build->environment.entries[row].failed = true;
}

/* Where the row's text comes from; empty: it has neither a value nor a default to apply. */
static struct slice row_text(struct build *build, enum row row, struct slice given)
{
    struct config_value *value = &build->config->values[row];
    struct environment_entry *entry = &build->environment.entries[row];
    struct arena *arena = &build->config->arena;
    if (given.len) {
        value->source = entry->path.len ? CONFIG_FROM_FILE : CONFIG_FROM_ENVIRONMENT;
        value->path = entry->path.len ? arena_copy(arena, entry->path) : SLICE_NONE;
        value->text = masked(arena, row, given);
        return given;
    }
    value->source = CONFIG_FROM_DEFAULT;
    value->text = slice_str(config_rows[row].text.default_value);
    return config_rows[row].shown == SHOWN ? value->text : SLICE_NONE;
}

/* Any: it is compared with digests of this process alone. */
static const uint64_t digest_seed = 0x706f727469636f;

static void row_apply(struct build *build, enum row row)
{
    const struct environment_entry *entry = &build->environment.entries[row];
    struct slice given = parse_trim(buf_slice(&entry->text));
    struct slice text = row_text(build, row, given);
    build->config->values[row].digest = map_hash(text, digest_seed);
    if (entry->failed)
        return;
    if (entry->given && !given.len)
        build_mistake(build, row, SLICE_NONE, "comes from a file that is empty");
    else if (text.len)
        config_rows[row].apply(build, row, text);
}

static void rows_apply(struct build *build)
{
    row_apply(build, ROW_UPSTREAM); /* first: names without an arrow are compared with those that say the same */
    for (enum row row = 0; row < NUM_ROWS; row++)
        if (row != ROW_UPSTREAM)
            row_apply(build, row);
}

static void upstreams_finish(struct build *build)
{
    struct config *config = build->config;
    struct map_entry *entry;
    config->upstreams = arena_calloc(&config->arena, config->num_upstreams, sizeof(void *));
    for (size_t at = 0; (entry = map_next(&build->upstreams, &at));) {
        const struct config_upstream *upstream = entry->value;
        config->upstreams[upstream->index] = upstream;
    }
    map_cleanup(&build->upstreams);
}

static struct config *config_new(void)
{
    struct config *config = MEM_NEW(struct config);
    atomic_init(&config->num_refs, 1);
    config->values = arena_calloc(&config->arena, NUM_ROWS, sizeof *config->values);
    return config;
}

static void build_begin(struct build *build, const char *const *entries, const char *const *only,
                        struct config_mistakes *mistakes)
{
    const char *names[NUM_ROWS];
    *build = (struct build){.config = config_new(), .mistakes = mistakes};
    rows_name(names);
    environment_read(&build->environment, entries, names, NUM_ROWS, only, mistakes);
}

static bool build_end(struct build *build, struct config **out_config, struct config_mistakes *out_mistakes)
{
    upstreams_finish(build);
    environment_cleanup(&build->environment);
    if (build->mistakes->num) {
        config_unref(build->config);
        *out_mistakes = *build->mistakes;
        return false;
    }
    *out_config = build->config;
    return true;
}

bool config_load(const char *const *entries, struct config **out_config, struct config_mistakes *out_mistakes)
{
    struct config_mistakes mistakes = {0};
    struct build build;
    build_begin(&build, entries, NULL, &mistakes);
    rows_apply(&build);
    rules_apply(&build);
    return build_end(&build, out_config, out_mistakes);
}

bool config_load_admin(const char *const *entries, struct config **out_config, struct config_mistakes *out_mistakes)
{
    const char *const only[] = {config_rows[ROW_ADMIN_LISTEN].text.name, config_rows[ROW_STORAGE].text.name, NULL};
    struct config_mistakes mistakes = {0};
    struct build build;
    build_begin(&build, entries, only, &mistakes);
    row_apply(&build, ROW_ADMIN_LISTEN);
    row_apply(&build, ROW_STORAGE);
    return build_end(&build, out_config, out_mistakes);
}

const struct config *config_ref(const struct config *config)
{
    if (config)
        atomic_fetch_add_explicit(&((struct config *)config)->num_refs, 1, memory_order_relaxed);
    return config;
}

static void secret_free(struct slice secret)
{
    mem_free_secret((char *)secret.ptr, secret.len);
}

void config_unref(const struct config *config)
{
    if (!config)
        return;
    struct config *own = (struct config *)config; /* once nobody else has it */
    if (atomic_fetch_sub_explicit(&own->num_refs, 1, memory_order_acq_rel) != 1)
        return;
    secret_free(own->admin.token);
    secret_free(own->storage_key);
    secret_free(own->acme.eab_hmac_key);
    secret_free(own->acme.account_key.text);
    secret_free(own->acme.fallback_eab_hmac_key);
    secret_free(own->acme.fallback_account_key.text);
    secret_free(own->acme.ca.text);
    secret_free(own->internal_ca.cert.text);
    secret_free(own->internal_ca.key.text);
    secret_free(own->tls.cert.text);
    secret_free(own->tls.key.text);
    for (size_t i = 0; i < own->tls.num_pairs; i++) {
        secret_free(own->tls.pairs[i].cert.text); /* the key may be in the same file */
        secret_free(own->tls.pairs[i].key.text);
    }
    secret_free(own->tls.client_ca.text);
    secret_free(own->policy.users_text);
    map_cleanup(&own->names_map);
    arena_cleanup(&own->arena);
    mem_free(own);
}
