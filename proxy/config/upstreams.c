/* Backends and groups of them: each backend once in a config, so that its pool and its health are one. */
#include "config/build.h"

static const struct config_upstream *upstream_intern(struct build *build, const struct config_upstream *parsed)
{
    struct config_upstream *upstream = map_get(&build->upstreams, parsed->text);
    if (upstream)
        return upstream;
    upstream = arena_alloc(&build->config->arena, sizeof *upstream);
    *upstream = *parsed;
    upstream->index = build->config->num_upstreams++;
    map_put(&build->upstreams, upstream->text, upstream);
    return upstream;
}

/* NULL, and the mistake added, where the word is no backend. */
static const struct config_upstream *upstream_of_word(struct build *build, enum row row, struct slice word)
{
    struct config_upstream parsed = {0};
    const char *why = parse_upstream(&build->config->arena, word, &parsed);
    if (why) {
        build_mistake(build, row, word, why);
        return NULL;
    }
    return upstream_intern(build, &parsed);
}

static bool group_has(const struct config_group *group, const struct config_upstream *upstream)
{
    for (size_t i = 0; i < group->num_upstreams; i++)
        if (group->upstreams[i] == upstream)
            return true;
    return false;
}

static size_t num_words(struct slice words)
{
    struct slice item, word;
    size_t num = 0;
    while (parse_list_next(&words, &item))
        while (parse_word_next(&item, &word))
            num++;
    return num;
}

/* All of them tcp or none: what a client sends is either raw bytes or HTTP. */
static bool group_is_of_one_kind(struct config_group *group)
{
    size_t num_tcp = 0;
    for (size_t i = 0; i < group->num_upstreams; i++)
        num_tcp += group->upstreams[i]->protocol == CONFIG_PROTOCOL_TCP;
    group->tcp = num_tcp > 0;
    return num_tcp == 0 || num_tcp == group->num_upstreams;
}

const struct config_group *upstream_group(struct build *build, enum row row, struct slice words)
{
    struct arena *arena = &build->config->arena;
    struct config_group *group = arena_calloc(arena, 1, sizeof *group);
    struct slice rest = words, item, word;
    bool ok = true;
    group->upstreams = arena_calloc(arena, num_words(words), sizeof(void *));
    while (parse_list_next(&rest, &item))
        while (parse_word_next(&item, &word)) {
            const struct config_upstream *upstream = upstream_of_word(build, row, word);
            ok = ok && upstream;
            if (upstream && !group_has(group, upstream))
                group->upstreams[group->num_upstreams++] = upstream;
        }
    if (!group_is_of_one_kind(group)) {
        build_mistake(build, row, words, "mixes tcp:// with backends that speak HTTP: one group takes one of the two");
        return NULL;
    }
    return ok && group->num_upstreams ? group : NULL;
}

void upstream_apply(struct build *build, enum row row, struct slice text)
{
    const struct config_group *group = upstream_group(build, row, text);
    build->config->default_site = (struct config_site){.kind = CONFIG_SITE_PROXY, .group = group};
    if (!group && !build_failed(build, row))
        build_mistake(build, row, text, "names no backend");
}
