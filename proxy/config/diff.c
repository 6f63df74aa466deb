#include "config/diff.h"

#include "config/mistakes.h"

bool config_row_differs(const struct config *a, const struct config *b, size_t row)
{
    return a->values[row].digest != b->values[row].digest;
}

bool config_differs(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < config_num_rows(); i++)
        if (config_row_differs(a, b, i))
            return true;
    return false;
}

bool config_listen_same(const struct config_listen *a, const struct config_listen *b)
{
    return a->kind == b->kind && slice_eq(a->host, b->host) && a->port == b->port && slice_eq(a->path, b->path) &&
           slice_eq(a->name, b->name);
}

static size_t num_only(const struct config *here, const struct config *there)
{
    size_t num = 0;
    for (size_t i = 0; i < here->num_names; i++)
        num += map_get(&there->names_map, here->names[i].text) == NULL;
    return num;
}

static bool same_names(const struct config *a, const struct config *b)
{
    bool same = a->num_names == b->num_names;
    for (size_t i = 0; same && i < a->num_names; i++)
        same = slice_eq(a->names[i].text, b->names[i].text);
    return same;
}

struct config_names_diff config_names_diff(const struct config *before, const struct config *after)
{
    if (same_names(before, after)) /* mostly: no need to look each of them up */
        return (struct config_names_diff){0};
    return (struct config_names_diff){.num_added = num_only(after, before), .num_removed = num_only(before, after)};
}

void config_refuse_restarts(const struct config *before, const struct config *after, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config_num_rows(); i++) {
        struct config_row_text row = config_row_at(i);
        if (row.reload == CONFIG_RELOAD_RESTART && config_row_differs(before, after, i))
            mistakes_add(mistakes, row.name, after->values[i].text, NULL,
                         "has changed, and only a restart can apply that: until then the process goes on as it was");
    }
}
