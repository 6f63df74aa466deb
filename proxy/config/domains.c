/* The grammar of DOMAINS:
 *
 *   domains = item *( ("," | newline) item )       empty items are skipped
 *   item    = names                                proxied to UPSTREAM
 *           | names "->" upstream *( blank upstream )
 *           | names "=>" url                       answered by 308, path and query kept
 *   names   = name *( blank name )
 *
 * An arrow belongs to its own item. A name may stand twice where both say the same. */
#include "base/url.h"
#include "config/build.h"
#include "config/domain_name.h"
#include "config/mistakes.h"

static const char form[] =
    "a.example.com www.example.com -> http://x:80 http://y:80, old.example.com => https://new.example.com";

enum arrow { ARROW_NONE, ARROW_PROXY, ARROW_REDIRECT };

struct item {
    struct slice text; /* all of it, for mistakes */
    struct slice names;
    enum arrow arrow;
    struct slice targets;
};

/* A name before its last place is known. */
struct pending {
    struct config_name name;
    struct pending *next;
};

struct domains {
    struct build *build;
    struct arena scratch;          /* of the pending names */
    struct pending *first, **last; /* in order */
    size_t num;
    struct map seen; /* text to struct pending */
    bool any_bare, any_arrow;
};

/* Takes the text up to the first arrow; the rest is what is behind it. */
static enum arrow split_at_arrow(struct slice *rest, struct slice *out_before)
{
    for (size_t i = 0; i + 1 < rest->len; i++) {
        char c = rest->ptr[i];
        if (rest->ptr[i + 1] != '>' || (c != '-' && c != '='))
            continue;
        *out_before = parse_trim(slice_first(*rest, i));
        *rest = parse_trim(slice_skip(*rest, i + 2));
        return c == '-' ? ARROW_PROXY : ARROW_REDIRECT;
    }
    *out_before = *rest;
    *rest = slice_skip(*rest, rest->len);
    return ARROW_NONE;
}

static const char *item_read(struct slice text, struct item *out_item)
{
    struct item item = {.text = text, .targets = text};
    struct slice targets;
    item.arrow = split_at_arrow(&item.targets, &item.names);
    struct slice rest = item.targets;
    if (split_at_arrow(&rest, &targets) != ARROW_NONE)
        return "has two arrows: items are separated by commas or newlines";
    if (item.names.len == 0)
        return "has no name in front of its arrow";
    if (item.arrow == ARROW_PROXY && item.targets.len == 0)
        return "has no backend behind its arrow";
    if (item.arrow == ARROW_REDIRECT && item.targets.len == 0)
        return "has no URL behind its arrow";
    *out_item = item;
    return NULL;
}

/* "https://new.example" of the URL, without a slash at its end. */
static const char *redirect_read(struct arena *arena, struct slice text, struct slice *out_to)
{
    struct url url;
    struct slice rest = text, first;
    if (parse_word_next(&rest, &first) && parse_trim(rest).len)
        return "has more than one URL behind `=>`";
    if (err_is(url_parse(text, &url)))
        return "needs a URL of the form https://new.example.com behind `=>`";
    if (memchr(text.ptr, '?', text.len))
        return "has a query in the URL behind `=>`: the request's own is kept";
    while (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    *out_to = arena_copy(arena, text);
    return NULL;
}

/* The site of an item; NULL, and the mistake added, where its targets are wrong. */
static const struct config_site *site_of(struct build *build, const struct item *item)
{
    struct arena *arena = &build->config->arena;
    if (item->arrow == ARROW_NONE)
        return &build->config->default_site;
    struct config_site *site = arena_calloc(arena, 1, sizeof *site);
    if (item->arrow == ARROW_PROXY) {
        site->kind = CONFIG_SITE_PROXY;
        site->group = upstream_group(build, ROW_DOMAINS, item->targets);
        return site->group ? site : NULL;
    }
    site->kind = CONFIG_SITE_REDIRECT;
    const char *why = redirect_read(arena, item->targets, &site->redirect_to);
    if (why)
        build_mistake(build, ROW_DOMAINS, item->text, why);
    return why ? NULL : site;
}

static bool groups_equal(const struct config_group *a, const struct config_group *b)
{
    if (!a || !b || a->num_upstreams != b->num_upstreams)
        return false;
    for (size_t i = 0; i < a->num_upstreams; i++)
        if (a->upstreams[i] != b->upstreams[i])
            return false;
    return true;
}

static bool sites_equal(const struct config_site *a, const struct config_site *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind)
        return false;
    return a->kind == CONFIG_SITE_PROXY ? groups_equal(a->group, b->group) : slice_eq(a->redirect_to, b->redirect_to);
}

static void pending_append(struct domains *domains, const struct config_name *name)
{
    struct pending *pending = arena_calloc(&domains->scratch, 1, sizeof *pending);
    pending->name = *name;
    *domains->last = pending;
    domains->last = &pending->next;
    domains->num++;
    map_put(&domains->seen, name->text, pending);
}

/* site may be NULL where its item was refused: the name is then only checked. */
static void add_name(struct domains *domains, struct slice word, const struct config_site *site)
{
    struct config_name name;
    const char *why = domain_name_parse(&domains->build->config->arena, word, &name);
    if (why) {
        build_mistake(domains->build, ROW_DOMAINS, word, why);
        return;
    }
    if (!site)
        return;
    domains->any_bare |= site == &domains->build->config->default_site;
    name.site = site;
    const struct pending *seen = map_get(&domains->seen, name.text);
    if (!seen)
        pending_append(domains, &name);
    else if (!sites_equal(seen->name.site, site))
        build_mistake(domains->build, ROW_DOMAINS, word, "stands twice, with different targets");
}

static void add_item(struct domains *domains, struct slice text)
{
    struct item item;
    struct slice word;
    const char *why = item_read(text, &item);
    if (why) {
        build_mistake(domains->build, ROW_DOMAINS, text, why);
        return;
    }
    domains->any_arrow |= item.arrow != ARROW_NONE;
    const struct config_site *site = site_of(domains->build, &item);
    while (parse_word_next(&item.names, &word))
        add_name(domains, word, site);
}

/* The names move to their last place, and then the map may point at them. */
static void names_finish(struct domains *domains)
{
    struct config *config = domains->build->config;
    config->names = arena_calloc(&config->arena, domains->num, sizeof *config->names);
    for (const struct pending *pending = domains->first; pending; pending = pending->next) {
        struct config_name *name = &config->names[config->num_names++];
        *name = pending->name;
        map_put(&config->names_map, name->text, name);
    }
    map_cleanup(&domains->seen);
    arena_cleanup(&domains->scratch);
}

void domains_apply(struct build *build, enum row row, struct slice text)
{
    struct domains domains = {.build = build};
    struct slice item;
    domains.last = &domains.first;
    while (parse_list_next(&text, &item))
        add_item(&domains, item);
    if (domains.any_bare && domains.any_arrow && !build_given(build, ROW_UPSTREAM) &&
        !build_failed(build, ROW_UPSTREAM))
        mistakes_add(
            build->mistakes, config_rows[row].text.name, SLICE_NONE, form,
            "has names without an arrow beside names with one, while PORTICO_UPSTREAM is unset: set it, or give "
            "each item its own arrow");
    if (!domains.any_bare && !domains.any_arrow && !build_failed(build, row))
        build_mistake(build, row, SLICE_NONE, "holds separators alone and no name");
    names_finish(&domains);
}
